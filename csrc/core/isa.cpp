#include "core/isa.hpp"

#include <stdexcept>
#include <string>

namespace coalign {

std::string_view name(Isa isa) {
    switch (isa) {
        case Isa::v2:
            return "v2";
        case Isa::v3:
            return "v3";
        case Isa::v4:
            return "v4";
        case Isa::neon:
            return "neon";
    }
    return "unknown";
}

std::vector<Isa> available_isas() {
#if defined(__x86_64__)
    std::vector<Isa> found{Isa::v2};
    if (__builtin_cpu_supports("x86-64-v3")) found.push_back(Isa::v3);
    if (__builtin_cpu_supports("x86-64-v4")) found.push_back(Isa::v4);
    return found;
#else
    return {Isa::neon};
#endif
}

Isa choose_isa(std::string_view wanted) {
    const std::vector<Isa> found = available_isas();
    if (wanted.empty()) return found.back();
    std::string listed;
    for (const Isa isa : found) {
        if (name(isa) == wanted) return isa;
        listed += (listed.empty() ? "" : ", ") + std::string(name(isa));
    }
    // By the variable's name: it is where a user's wish comes from.
    throw std::invalid_argument("COALIGN_ISA: expected one of " + listed + " on this CPU, got '" + std::string(wanted) +
                                "'");
}

}  // namespace coalign
