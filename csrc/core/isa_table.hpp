// One table of kernels per instruction set. A kernel object, compiled once per set, defines in its own namespace
//     template <> const Table& kernel_table() { ... }
// and a driver, compiled once, asks for the table of the set that a call runs on.
#pragma once

#include "core/isa.hpp"

namespace coalign {

#if defined(__x86_64__)
namespace v2 {
template <class Table>
const Table& kernel_table();
}
namespace v3 {
template <class Table>
const Table& kernel_table();
}
namespace v4 {
template <class Table>
const Table& kernel_table();
}
#else
namespace neon {
template <class Table>
const Table& kernel_table();
}
#endif

template <class Table>
const Table& table_for([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
    return isa == Isa::v4   ? v4::kernel_table<Table>()
           : isa == Isa::v3 ? v3::kernel_table<Table>()
                            : v2::kernel_table<Table>();
#else
    return neon::kernel_table<Table>();
#endif
}

}  // namespace coalign
