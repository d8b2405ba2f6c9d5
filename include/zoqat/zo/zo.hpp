// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/zo/deferred_update.hpp>
#include <zoqat/zo/direction.hpp>
#include <zoqat/zo/estimate.hpp>
#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/in_place.hpp>
#include <zoqat/zo/parabolic.hpp>
#include <zoqat/zo/parameter_list.hpp>
#include <zoqat/zo/perturbation.hpp>
#include <zoqat/zo/run_log.hpp>
#include <zoqat/zo/schedule.hpp>
#include <zoqat/zo/sgd.hpp>
#include <zoqat/zo/update.hpp>
