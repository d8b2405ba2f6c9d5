# SPDX-License-Identifier: Apache-2.0
"""A recipe that packages the sources it lies in: conan create cmake/packaging/conan"""

import re
from pathlib import Path

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy


class Zoqat(ConanFile):
    name = "zoqat"
    license = "Apache-2.0"
    description = "Trains quantized transformer language models with forward passes alone"
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"io": [True, False]}
    default_options = {"io": True}
    no_copy_source = True

    @property
    def _root(self):
        return Path(self.recipe_folder).parents[2]

    def set_version(self):
        text = (self._root / "include/zoqat/core/version.hpp").read_text()
        self.version = ".".join(re.search(rf"ZOQAT_VERSION_{part} (\d+)", text)[1]
                                for part in ("MAJOR", "MINOR", "PATCH"))

    def export_sources(self):
        for pattern in ("CMakeLists.txt", "LICENSE", "include/*", "cmake/*"):
            copy(self, pattern, src=self._root, dst=self.export_sources_folder)

    def layout(self):
        cmake_layout(self)

    def requirements(self):
        self.requires("fmt/[>=9]")
        self.requires("highway/[>=1.0.3]")
        if self.options.io:
            self.requires("nlohmann_json/[>=3.11]")
            self.requires("icu/[>=70]")

    def validate(self):
        check_min_cppstd(self, 20)

    def package_id(self):
        self.info.clear()

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["ZOQAT_IO"] = bool(self.options.io)
        toolchain.cache_variables["ZOQAT_INSTALL"] = True
        for programs in ("TESTS", "PROJECT_TESTS", "BENCH", "EXAMPLES"):
            toolchain.cache_variables[f"ZOQAT_{programs}"] = False
        toolchain.generate()

    def build(self):
        CMake(self).configure()

    def package(self):
        CMake(self).install()

    def package_info(self):
        # The package brings its own file for find_package, with the components zo and io.
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = ["share/cmake/zoqat"]
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
