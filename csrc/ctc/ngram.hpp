// An n-gram model with back-off over labels (S. Katz, Estimation of Probabilities from Sparse Data for the Language
// Model Component of a Speech Recognizer).
#pragma once

#include <cstdint>
#include <vector>

#include "ctc/language_model.hpp"
#include "ctc/pair_table.hpp"

namespace coalign::ctc {

// A state is the node of the longest n-gram that the model knows of the labels so far. Nothing changes after the
// n-grams are added, so threads may share a model.
class NGramModel final : public LanguageModel {
   public:
    // Words are labels in [0, labels), then the beginning of a text, its end, and any label without an n-gram.
    explicit NGramModel(std::int64_t labels);

    // Lower orders come first. Logarithms are natural. False for an n-gram that has been added before.
    bool add(const std::int64_t* words, std::int64_t order, double score, double back_off);
    // Call it when all are added.
    void finish();

    State start() override { return start_; }
    Step step(State state, std::int64_t label) override;
    double end(State state) override;
    bool is_quick() const override { return true; }
    std::int64_t nodes() const { return static_cast<std::int64_t>(nodes_.size()); }

   private:
    struct Node {
        double score, back_off;  // NaN: it is no n-gram, but others begin with it
        std::int32_t parent, word;
        std::int32_t shorter;  // without its first words: the longest that there is
        std::int32_t state;    // what has to be remembered of it: itself, or a shorter one if nothing goes on from it
        std::int32_t order;
    };

    std::int32_t child(std::int32_t node, std::int32_t word);
    Step follow(State state, std::int32_t word) const;

    std::int64_t labels_;
    std::int32_t start_ = 0;
    std::vector<Node> nodes_;
    PairTable table_;
};

}  // namespace coalign::ctc
