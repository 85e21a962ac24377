// What every table includes, after its intrinsics and before it opens its namespace.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <utility>

#include "engine/base/half.h"
#include "engine/kernels/kernel_table.h"
