#include "ctc/ngram.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace coalign::ctc {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr double kNever = -std::numeric_limits<double>::infinity();

}  // namespace

NGramModel::NGramModel(std::int64_t labels) : labels_(labels) {
    table_.clear(1024);
    nodes_.push_back({kNone, 0, -1, -1, 0, 0, 0});
}

std::int32_t NGramModel::child(std::int32_t node, std::int32_t word) {
    std::int32_t found = table_.find(node, word);
    if (found != PairTable::kNone) return found;
    found = static_cast<std::int32_t>(nodes_.size());
    table_.add(node, word, found);
    nodes_.push_back({kNone, 0, node, word, 0, 0, nodes_[static_cast<std::size_t>(node)].order + 1});
    return found;
}

bool NGramModel::add(const std::int64_t* words, std::int64_t order, double score, double back_off) {
    std::int32_t node = 0;
    for (std::int64_t k = 0; k < order; ++k) node = child(node, static_cast<std::int32_t>(words[k]));
    Node& added = nodes_[static_cast<std::size_t>(node)];
    if (!std::isnan(added.score)) return false;
    added.score = score;
    added.back_off = back_off;
    return true;
}

void NGramModel::finish() {
    // By order: the node without its first word is its parent's, without its first word, with the last word again.
    std::vector<std::int32_t> order(nodes_.size());
    for (std::size_t n = 0; n < order.size(); ++n) order[n] = static_cast<std::int32_t>(n);
    std::sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
        return nodes_[static_cast<std::size_t>(a)].order < nodes_[static_cast<std::size_t>(b)].order;
    });
    std::vector<bool> has_children(nodes_.size());
    for (const std::int32_t n : order)
        if (n > 0) has_children[static_cast<std::size_t>(nodes_[static_cast<std::size_t>(n)].parent)] = true;
    for (const std::int32_t n : order) {
        Node& node = nodes_[static_cast<std::size_t>(n)];
        for (std::int32_t from = node.parent; from > 0;) {
            from = nodes_[static_cast<std::size_t>(from)].shorter;
            const std::int32_t found = table_.find(from, node.word);
            if (found == PairTable::kNone) continue;
            node.shorter = found;
            break;
        }
        const bool counts = has_children[static_cast<std::size_t>(n)] || node.back_off != 0;
        node.state = counts ? n : nodes_[static_cast<std::size_t>(node.shorter)].state;
    }
    const std::int32_t begin = table_.find(0, static_cast<std::int32_t>(labels_));
    start_ = begin == PairTable::kNone ? 0 : nodes_[static_cast<std::size_t>(begin)].state;
}

LanguageModel::Step NGramModel::follow(State state, std::int32_t word) const {
    double score = 0;
    State next = 0;
    bool has_next = false;
    for (auto from = static_cast<std::int32_t>(state);;) {
        const Node& node = nodes_[static_cast<std::size_t>(from)];
        const std::int32_t found = table_.find(from, word);
        if (found != PairTable::kNone) {
            const Node& longer = nodes_[static_cast<std::size_t>(found)];
            // The longest history that others begin with, be it an n-gram of its own or not.
            if (!has_next) next = longer.state;
            has_next = true;
            if (!std::isnan(longer.score)) return {score + longer.score, next};
        }
        if (from == 0) return {kNever, 0};
        score += node.back_off;
        from = node.shorter;
    }
}

LanguageModel::Step NGramModel::step(State state, std::int64_t label) {
    const Step known = follow(state, static_cast<std::int32_t>(label));
    return known.score > kNever ? known : follow(state, static_cast<std::int32_t>(labels_ + 2));
}

double NGramModel::end(State state) {
    const auto word = static_cast<std::int32_t>(labels_ + 1);
    return table_.find(0, word) == PairTable::kNone ? 0 : follow(state, word).score;
}

}  // namespace coalign::ctc
