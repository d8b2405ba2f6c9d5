// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

// Other programs, to talk with and to measure the memory of.

namespace zoqat::bench {

/// A program that reads lines and answers with lines. It ends when its input does, at the latest with this object.
class child_process {
 public:
  /// Looks for `arguments[0]` as a shell would. Throws io_error where no process can be made; a program that is not
  /// there answers nothing.
  explicit child_process(const std::vector<std::string>& arguments) {
    std::signal(SIGPIPE, SIG_IGN);  // asking one that has ended is no reason to end too
    int to[2], from[2];
    require<io_error>(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0, "{}: no pipe to it could be made",
                      arguments.front());
    std::fflush(nullptr);
    id_ = fork();
    require<io_error>(id_ >= 0, "{}: no process for it could be made", arguments.front());
    if (id_ == 0) {
      dup2(to[0], STDIN_FILENO);
      dup2(from[1], STDOUT_FILENO);
      std::vector<char*> words;
      for (const std::string& word : arguments) words.push_back(const_cast<char*>(word.c_str()));
      words.push_back(nullptr);
      execvp(words.front(), words.data());
      _exit(127);
    }
    close(to[0]);
    close(from[1]);
    in_ = fdopen(to[1], "w");
    out_ = fdopen(from[0], "r");
  }
  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;
  ~child_process() {
    std::fclose(in_);
    std::fclose(out_);
    waitpid(id_, nullptr, 0);
  }

  /// The next line it writes; nothing once it has ended.
  [[nodiscard]] std::optional<std::string> read() {
    std::string line;
    for (int c; (c = std::fgetc(out_)) != EOF;) {
      if (c == '\n') return line;
      line += static_cast<char>(c);
    }
    return std::nullopt;
  }
  /// Sends a line and reads one.
  [[nodiscard]] std::optional<std::string> ask(const std::string& line) {
    std::fputs((line + "\n").c_str(), in_);
    std::fflush(in_);
    return read();
  }

 private:
  pid_t id_;
  std::FILE *in_ = nullptr, *out_ = nullptr;
};

/// All lines a program writes; none if it cannot run.
[[nodiscard]] inline std::vector<std::string> output_of(const std::vector<std::string>& arguments) {
  child_process child(arguments);
  std::vector<std::string> lines;
  while (auto line = child.read()) lines.push_back(std::move(*line));
  return lines;
}

/// Megabytes of memory that this program held at most, or holds now ("VmHWM" or "VmRSS" of Linux); 0 elsewhere.
[[nodiscard]] inline double resident_megabytes(const std::string& which) {
  std::ifstream status("/proc/self/status");
  for (std::string name; status >> name;)
    if (double kilobytes = 0; name == which + ":" && status >> kilobytes) return kilobytes / 1024;
  return 0;
}

}  // namespace zoqat::bench
