// What beam search asks of a language model.
#pragma once

#include <cstdint>

namespace coalign::ctc {

// Scores are natural logarithms. A state stands for the labels so far, as far as the model cares.
class LanguageModel {
   public:
    using State = std::int64_t;
    struct Step {
        double score;
        State state;
    };

    virtual ~LanguageModel() = default;
    virtual State start() = 0;
    virtual Step step(State state, std::int64_t label) = 0;
    virtual double end(State state) = 0;
    // Whether asking again costs less than keeping the answer.
    virtual bool is_quick() const { return false; }
    // The state is not asked for again.
    virtual void release(State) {}
};

}  // namespace coalign::ctc
