// The MPI library that this program runs with. Needs no MPI_Init.
#pragma once
#include <string>

namespace shardline::parallel {

std::string mpi_library();  // "Open MPI v4.1.4"

}  // namespace shardline::parallel
