// A hash table from pairs of a node and a label to nodes.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace coalign::ctc {

class PairTable {
   public:
    static constexpr std::int32_t kNone = -1;

    // Empties it and makes room for `count` pairs. Its memory stays, and nothing in it is touched.
    void clear(std::size_t count) {
        const std::size_t wanted = std::bit_ceil(4 * count + 16);
        if (places_.size() < wanted || ++round_ == 0) {
            places_.assign(std::max(places_.size(), wanted), Place{});
            round_ = 1;
        }
        held_ = 0;
    }
    std::int32_t find(std::int32_t node, std::int32_t label) const {
        const Place& found = places_[place(key(node, label))];
        return found.round == round_ ? found.value : kNone;
    }
    // For a pair that it does not hold.
    void add(std::int32_t node, std::int32_t label, std::int32_t value) {
        if (2 * ++held_ > places_.size()) grow();
        const std::uint64_t wanted = key(node, label);
        places_[place(wanted)] = {wanted, value, round_};
    }

   private:
    struct Place {
        std::uint64_t key = 0;
        std::int32_t value = kNone;
        std::uint32_t round = 0;  // what it holds is of this round, or nothing
    };

    static std::uint64_t key(std::int32_t node, std::int32_t label) {
        return static_cast<std::uint64_t>(node) << 32 | static_cast<std::uint32_t>(label);
    }
    std::size_t place(std::uint64_t wanted) const {
        const std::size_t last = places_.size() - 1;
        std::size_t at = static_cast<std::size_t>((wanted * 0x9e3779b97f4a7c15u) >> 20) & last;
        while (places_[at].round == round_ && places_[at].key != wanted) at = (at + 1) & last;
        return at;
    }
    void grow() {
        std::vector<Place> old(2 * places_.size());
        old.swap(places_);
        for (const Place& held : old)
            if (held.round == round_) places_[place(held.key)] = held;
    }

    std::vector<Place> places_;
    std::size_t held_ = 0;
    std::uint32_t round_ = 0;
};

}  // namespace coalign::ctc
