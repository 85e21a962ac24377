// What every isa_*.cpp includes before it opens its namespace.
#pragma once
#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

#include "engine/base/half.h"
#include "engine/kernels/kernel_table.h"
