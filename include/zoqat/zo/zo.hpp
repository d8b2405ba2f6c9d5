// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/zo/coordinate.hpp>
#include <zoqat/zo/deferred_update.hpp>
#include <zoqat/zo/direction.hpp>
#include <zoqat/zo/element_words.hpp>
#include <zoqat/zo/estimate.hpp>
#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/group_scales.hpp>
#include <zoqat/zo/in_place.hpp>
#include <zoqat/zo/low_rank.hpp>
#include <zoqat/zo/orthogonal.hpp>
#include <zoqat/zo/parabolic.hpp>
#include <zoqat/zo/parameter_list.hpp>
#include <zoqat/zo/partition.hpp>
#include <zoqat/zo/perturbation.hpp>
#include <zoqat/zo/quantized.hpp>
#include <zoqat/zo/run_log.hpp>
#include <zoqat/zo/schedule.hpp>
#include <zoqat/zo/sgd.hpp>
#include <zoqat/zo/sparse.hpp>
#include <zoqat/zo/sphere.hpp>
#include <zoqat/zo/uniform.hpp>
#include <zoqat/zo/update.hpp>
