#include "ctc/beam.hpp"

#include <algorithm>
#include <cmath>

namespace coalign::ctc {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();
// Dead nodes and spans are dropped once they outnumber the living by so much.
constexpr std::size_t kFewNodes = 4096, kDeadPerLiving = 4;

// Ends a search whose call is to stop: its sorts are over only when they return or throw.
struct Stopped {};

void pace(Pacer& pacer, std::int64_t work) {
    if (!pacer.proceed(work)) throw Stopped{};
}

template <class Items, class Less>
void keep_first(Items& items, std::size_t most, Less less) {
    if (items.size() > most) {
        std::nth_element(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(most), items.end(), less);
        items.resize(most);
    }
    std::sort(items.begin(), items.end(), less);
}

// Keeps the first so many, in order. Many take so long that each comparison counts; few are soon in order.
template <class Items, class Less>
void keep_first(Items& items, std::size_t most, Less less, Pacer& pacer) {
    constexpr std::size_t kFew = 1 << 14;
    if (items.size() <= kFew) {
        pace(pacer, static_cast<std::int64_t>(16 * items.size()));
        keep_first(items, most, less);
        return;
    }
    keep_first(items, most, [&pacer, less](const auto& a, const auto& b) {
        pace(pacer, 1);
        return less(a, b);
    });
}

std::int64_t padded(std::int64_t count) {
    return (count + kBeamPad - 1) / kBeamPad * kBeamPad;
}

}  // namespace

template <class T>
BeamSearch<T>::BeamSearch(const BeamKernels<T>& kernels, const BeamOptions& options, std::int64_t columns)
    : kernels_(kernels), options_(options), columns_(columns) {
    row_.reserve(columns);
    above_.reserve(columns + 64);
    child_of_.assign(static_cast<std::size_t>(columns), -1);
    begin();
}

template <class T>
void BeamSearch<T>::begin() {
    forget();
    frame_ = 0;
    count_ = 1;
    nodes_.clear();
    spans_.clear();
    const LanguageModel::State state = options_.model != nullptr ? options_.model->start() : 0;
    nodes_.push_back({-1, -1, 0, 0.0, state});
    most_nodes_ = most_spans_ = kFewNodes;
    table_.clear(kFewNodes);
    const Path nothing{kNever, 0, 0, 0, -1};
    entries_.assign(1, {0, -1, 0.0, {0, 0, 0, 0, -1}, nothing});
    now_.reserve(kBeamPad);
    now_.at.blank[0] = now_.at.both[0] = 0;
    now_.at.label[0] = kNever;
}

template <class T>
void BeamSearch<T>::forget() {
    if (options_.model == nullptr) return;
    for (const Node& node : nodes_) options_.model->release(node.state);
    nodes_.clear();
}

template <class T>
typename BeamSearch<T>::Read BeamSearch<T>::read(const MatrixView<T>& frames, Pacer& pacer, std::int64_t& bad) {
    double* const row = row_.data();
    for (std::int64_t t = 0; t < frames.rows; ++t) {
        const T* const values = frames.data + t * frames.row_stride;
        if (!kernels_.read_frame(values, columns_, options_.is_logits, row)) {
            const auto is_bad = [](T v) { return !(v <= std::numeric_limits<T>::max()); };
            bad = t * columns_ + (std::find_if(values, values + columns_, is_bad) - values);
            return Read::bad;
        }
        try {
            pace(pacer, columns_ / 2 + 8 * count_);
            step(row, pacer);
        } catch (const Stopped&) {
            return Read::stopped;
        }
    }
    return Read::whole;
}

template <class T>
void BeamSearch<T>::step(double* scores, Pacer& pacer) {
    if (options_.least_symbol > kNever) {
        const double least = std::min(options_.least_symbol, *std::max_element(scores, scores + columns_));
        for (std::int64_t c = 0; c < columns_; ++c)
            if (scores[c] < least) scores[c] = kNever;
    }
    candidates_.clear();
    const double least = collect_stays(scores, pacer);
    if (options_.model == nullptr) collect_extensions(scores, least, pacer);
    else collect_with_model(scores, least, pacer);
    keep_best(pacer);
    enter(scores, pacer);
    ++frame_;
    if (nodes_.size() > most_nodes_) drop_dead_nodes(pacer);
    if (spans_.size() > most_spans_) drop_dead_spans(pacer);
}

// Moves every prefix one frame on by itself. Returns the score that a longer one must exceed to be among the best.
template <class T>
double BeamSearch<T>::collect_stays(const double* scores, Pacer& pacer) {
    const std::int64_t room = padded(count_);
    next_.reserve(room);
    double *const entering = entering_.reserve(room), *const label_score = label_score_.reserve(room);
    first_child_.assign(static_cast<std::size_t>(count_), -1);
    next_child_.assign(static_cast<std::size_t>(count_), -1);
    for (std::int64_t i = 0; i < count_; ++i) {
        const Entry& entry = entries_[static_cast<std::size_t>(i)];
        entering[i] = label_score[i] = kNever;
        pace(pacer, 4);
        if (entry.label < 0) continue;
        label_score[i] = scores[entry.label];
        const std::int32_t parent = nodes_[static_cast<std::size_t>(entry.node)].parent;
        const std::int32_t slot = nodes_[static_cast<std::size_t>(parent)].slot;
        if (slot < 0) continue;
        // A label is repeated only across a blank.
        const bool repeats = entries_[static_cast<std::size_t>(slot)].label == entry.label;
        entering[i] = (repeats ? now_.at.blank : now_.at.both)[slot];
        next_child_[static_cast<std::size_t>(i)] = first_child_[static_cast<std::size_t>(slot)];
        first_child_[static_cast<std::size_t>(slot)] = static_cast<std::int32_t>(i);
    }
    for (std::int64_t i = count_; i < room; ++i) {
        entering[i] = label_score[i] = kNever;
        now_.at.blank[i] = now_.at.label[i] = now_.at.both[i] = kNever;
    }
    kernels_.stay(now_.at, entering, label_score, scores[options_.blank], count_, next_.at);
    double least = std::numeric_limits<double>::infinity();
    for (std::int64_t i = 0; i < count_; ++i) {
        const double mass = next_.at.both[i], score = mass + entries_[static_cast<std::size_t>(i)].model;
        if (!(score > kNever)) continue;
        candidates_.push_back({score, mass, static_cast<std::int32_t>(i), -1});
        least = std::min(least, score);
    }
    return static_cast<std::int64_t>(candidates_.size()) < options_.width ? kNever : least;
}

// Whether an entry has children in the beam; child_of_ takes the mark at their labels.
template <class T>
bool BeamSearch<T>::mark_children(std::int64_t entry, std::int32_t mark) {
    const std::int32_t first = first_child_[static_cast<std::size_t>(entry)];
    for (std::int32_t child = first; child >= 0; child = next_child_[static_cast<std::size_t>(child)])
        child_of_[static_cast<std::size_t>(entries_[static_cast<std::size_t>(child)].label)] = mark;
    return first >= 0;
}

// Without a model the entries lie best first, and the best symbols can be tried first too. Entry i, counted from 1,
// with its symbol r has i r - 1 - i others that are at least as good and cannot be taken out by a repeated label: only
// r up to width / i + 1 can be among the best. That leaves some width * log(width) candidates of width * columns.
template <class T>
void BeamSearch<T>::collect_extensions(const double* scores, double least, Pacer& pacer) {
    if (count_ == 0) return;
    std::int32_t* const labels = above_.data();
    const double most = now_.at.both[0];
    // The sum may round to either side of what the difference says.
    const double margin = 1e-12 * (std::abs(least) + std::abs(most));
    const double floor = least > kNever ? least - most - margin : kNever;
    const std::int64_t found = kernels_.above(scores, columns_, floor, labels);
    symbols_.clear();
    for (std::int64_t k = 0; k < found; ++k)
        if (labels[k] != options_.blank) symbols_.push_back({scores[labels[k]], labels[k]});
    keep_first(symbols_, static_cast<std::size_t>(options_.width) + 1, is_better, pacer);
    for (std::int64_t i = 0; i < count_; ++i) {
        const Entry& entry = entries_[static_cast<std::size_t>(i)];
        pace(pacer, 8);
        const bool has_children = mark_children(i, static_cast<std::int32_t>(i));
        const double both = now_.at.both[i];
        const auto most_symbols = std::min(symbols_.size(), static_cast<std::size_t>(options_.width / (i + 1)) + 1);
        for (std::size_t r = 0; r < most_symbols; ++r) {
            const Symbol symbol = symbols_[r];
            double mass = both + symbol.score;
            if (!(mass > least)) break;
            if (has_children && child_of_[static_cast<std::size_t>(symbol.label)] == i) continue;
            if (symbol.label == entry.label) {
                mass = now_.at.blank[i] + symbol.score;
                if (!(mass > least)) continue;
            }
            candidates_.push_back({mass, mass, static_cast<std::int32_t>(i), symbol.label});
        }
        if (has_children) mark_children(i, -1);
    }
}

// A model may prefer any symbol, so each that is possible is tried.
template <class T>
void BeamSearch<T>::collect_with_model(const double* scores, double least, Pacer& pacer) {
    const std::int32_t* const labels = above_.data();
    const std::int64_t found = kernels_.above(scores, columns_, kNever, above_.data());
    const bool is_quick = options_.model->is_quick();
    for (std::int64_t i = 0; i < count_; ++i) {
        const Entry& entry = entries_[static_cast<std::size_t>(i)];
        pace(pacer, 16 * found);
        const bool has_children = mark_children(i, static_cast<std::int32_t>(i));
        for (std::int64_t k = 0; k < found; ++k) {
            const std::int32_t label = labels[k];
            if (label == options_.blank || child_of_[static_cast<std::size_t>(label)] == i) continue;
            const double mass = (label == entry.label ? now_.at.blank : now_.at.both)[i] + scores[label];
            if (!(mass > kNever)) continue;
            const double model = is_quick ? grown(entry.node, label).model
                                          : nodes_[static_cast<std::size_t>(child(entry.node, label))].model;
            const double score = mass + model;
            if (score > least) candidates_.push_back({score, mass, static_cast<std::int32_t>(i), label});
        }
        if (has_children) mark_children(i, -1);
    }
}

// Of equals, a prefix that stays comes before a longer one, then the better prefix, then the smaller symbol.
template <class T>
bool BeamSearch<T>::is_before(const Candidate& a, const Candidate& b) {
    if (a.score != b.score) return a.score > b.score;
    if ((a.label < 0) != (b.label < 0)) return a.label < 0;
    return a.from != b.from ? a.from < b.from : a.label < b.label;
}

template <class T>
bool BeamSearch<T>::is_better(const Symbol& a, const Symbol& b) {
    return a.score != b.score ? a.score > b.score : a.label < b.label;
}

template <class T>
void BeamSearch<T>::keep_best(Pacer& pacer) {
    keep_first(candidates_, static_cast<std::size_t>(options_.width), is_before, pacer);
    if (candidates_.empty()) return;
    const double least = candidates_.front().score - options_.threshold;
    while (candidates_.back().score < least) candidates_.pop_back();
}

template <class T>
const typename BeamSearch<T>::Path& BeamSearch<T>::better(const Entry& entry) {
    return entry.by_label.score > entry.by_blank.score ? entry.by_label : entry.by_blank;
}

template <class T>
std::int32_t BeamSearch<T>::add_span(const Entry& entry, const Path& path) {
    if (entry.label < 0) return -1;
    spans_.push_back({path.sum, path.start, path.stop, path.before});
    return static_cast<std::int32_t>(spans_.size() - 1);
}

template <class T>
typename BeamSearch<T>::Entry BeamSearch<T>::stayed(const Entry& entry, const double* scores) {
    Entry out = entry;
    out.by_blank = better(entry);
    out.by_blank.score += scores[options_.blank];
    if (entry.label < 0) return out;
    const double score = scores[entry.label];
    out.by_label.score += score;
    out.by_label.sum += score;
    out.by_label.stop = frame_ + 1;
    const std::int32_t parent = nodes_[static_cast<std::size_t>(entry.node)].parent;
    const std::int32_t slot = nodes_[static_cast<std::size_t>(parent)].slot;
    if (slot < 0) return out;
    const Entry& shorter = entries_[static_cast<std::size_t>(slot)];
    const Path& path = shorter.label == entry.label ? shorter.by_blank : better(shorter);
    if (path.score + score > out.by_label.score)
        out.by_label = {path.score + score, score, frame_, frame_ + 1, add_span(shorter, path)};
    return out;
}

template <class T>
typename BeamSearch<T>::Entry BeamSearch<T>::extended(const Entry& entry, std::int32_t label, double score) {
    const Path& path = label == entry.label ? entry.by_blank : better(entry);
    const std::int32_t node = child(entry.node, label);
    return {node,
            label,
            nodes_[static_cast<std::size_t>(node)].model,
            {kNever, 0, 0, 0, -1},
            {path.score + score, score, frame_, frame_ + 1, add_span(entry, path)}};
}

// Makes the candidates that were kept the beam.
template <class T>
void BeamSearch<T>::enter(const double* scores, Pacer& pacer) {
    next_entries_.clear();
    now_.reserve(padded(static_cast<std::int64_t>(candidates_.size())));
    std::int64_t at = 0;
    for (const Candidate& kept : candidates_) {
        pace(pacer, 16);
        const Entry& entry = entries_[static_cast<std::size_t>(kept.from)];
        const bool stays = kept.label < 0;
        next_entries_.push_back(stays ? stayed(entry, scores) : extended(entry, kept.label, scores[kept.label]));
        now_.at.blank[at] = stays ? next_.at.blank[kept.from] : kNever;
        now_.at.label[at] = stays ? next_.at.label[kept.from] : kept.mass;
        now_.at.both[at++] = kept.mass;
    }
    for (const Entry& entry : entries_) nodes_[static_cast<std::size_t>(entry.node)].slot = -1;
    entries_.swap(next_entries_);
    count_ = at;
    for (std::int64_t i = 0; i < count_; ++i)
        nodes_[static_cast<std::size_t>(entries_[static_cast<std::size_t>(i)].node)].slot =
            static_cast<std::int32_t>(i);
}

// The prefix with one more label, which nobody has yet.
template <class T>
typename BeamSearch<T>::Node BeamSearch<T>::grown(std::int32_t parent, std::int32_t label) const {
    const Node& before = nodes_[static_cast<std::size_t>(parent)];
    Node made{parent, label, -1, 0.0, 0};
    if (options_.model != nullptr) {
        const LanguageModel::Step step = options_.model->step(before.state, label);
        made.model = before.model + weighted(step.score) + options_.beta;
        made.state = step.state;
    }
    return made;
}

template <class T>
std::int32_t BeamSearch<T>::child(std::int32_t parent, std::int32_t label) {
    const std::int32_t found = table_.find(parent, label);
    if (found != PairTable::kNone) return found;
    const auto number = static_cast<std::int32_t>(nodes_.size());
    nodes_.push_back(grown(parent, label));
    table_.add(parent, label, number);
    return number;
}

// A node is made after its parent, so one sweep in order moves all.
template <class T>
void BeamSearch<T>::drop_dead_nodes(Pacer& pacer) {
    moved_.assign(nodes_.size(), -1);
    moved_[0] = 0;
    for (const Entry& entry : entries_)
        for (std::int32_t n = entry.node; moved_[static_cast<std::size_t>(n)] < 0;
             n = nodes_[static_cast<std::size_t>(n)].parent)
            moved_[static_cast<std::size_t>(n)] = 0;
    std::size_t living = 0;
    for (std::size_t n = 0; n < nodes_.size(); ++n) {
        pace(pacer, 4);
        Node node = nodes_[n];
        if (moved_[n] < 0) {
            if (options_.model != nullptr) options_.model->release(node.state);
            continue;
        }
        if (node.parent >= 0) node.parent = moved_[static_cast<std::size_t>(node.parent)];
        moved_[n] = static_cast<std::int32_t>(living);
        nodes_[living++] = node;
    }
    nodes_.resize(living);
    for (Entry& entry : entries_) entry.node = moved_[static_cast<std::size_t>(entry.node)];
    most_nodes_ = std::max(kFewNodes, kDeadPerLiving * living);
    table_.clear(most_nodes_);
    for (std::size_t n = 1; n < living; ++n) {
        pace(pacer, 8);
        table_.add(nodes_[n].parent, nodes_[n].label, static_cast<std::int32_t>(n));
    }
}

template <class T>
void BeamSearch<T>::drop_dead_spans(Pacer& pacer) {
    moved_.assign(spans_.size(), -1);
    for (const Entry& entry : entries_)
        for (std::int32_t first : {entry.by_blank.before, entry.by_label.before})
            for (std::int32_t n = first; n >= 0 && moved_[static_cast<std::size_t>(n)] < 0;
                 n = spans_[static_cast<std::size_t>(n)].before)
                moved_[static_cast<std::size_t>(n)] = 0;
    std::size_t living = 0;
    for (std::size_t n = 0; n < spans_.size(); ++n) {
        pace(pacer, 4);
        Span span = spans_[n];
        if (moved_[n] < 0) continue;
        if (span.before >= 0) span.before = moved_[static_cast<std::size_t>(span.before)];
        moved_[n] = static_cast<std::int32_t>(living);
        spans_[living++] = span;
    }
    spans_.resize(living);
    for (Entry& entry : entries_)
        for (std::int32_t* before : {&entry.by_blank.before, &entry.by_label.before})
            if (*before >= 0) *before = moved_[static_cast<std::size_t>(*before)];
    most_spans_ = std::max(kFewNodes, kDeadPerLiving * living);
}

template <class T>
bool BeamSearch<T>::find_best(Labellings& out, Pacer& pacer) {
    out = Labellings{};
    try {
        tell_best(out, pacer);
    } catch (const Stopped&) {
        return false;
    }
    return true;
}

template <class T>
void BeamSearch<T>::tell_best(Labellings& out, Pacer& pacer) const {
    std::vector<Candidate> order;
    for (std::int64_t i = 0; i < count_; ++i) {
        const Entry& entry = entries_[static_cast<std::size_t>(i)];
        double score = now_.at.both[i] + entry.model;
        if (options_.model != nullptr)
            score += weighted(options_.model->end(nodes_[static_cast<std::size_t>(entry.node)].state));
        if (score > kNever) order.push_back({score, now_.at.both[i], static_cast<std::int32_t>(i), -1});
    }
    keep_first(order, static_cast<std::size_t>(options_.best), is_before, pacer);
    if (order.empty()) out.status = Status::infeasible;
    for (const Candidate& kept : order) {
        pace(pacer, 8 * frame_);
        const Entry& entry = entries_[static_cast<std::size_t>(kept.from)];
        const auto begin = static_cast<std::ptrdiff_t>(out.label.size());
        const Path& path = better(entry);
        Span span{path.sum, path.start, path.stop, path.before};
        for (std::int32_t n = entry.node; n > 0; n = nodes_[static_cast<std::size_t>(n)].parent) {
            out.label.push_back(nodes_[static_cast<std::size_t>(n)].label);
            out.start.push_back(span.start);
            out.stop.push_back(span.stop);
            out.score.push_back(span.sum / static_cast<double>(span.stop - span.start));
            if (span.before >= 0) span = spans_[static_cast<std::size_t>(span.before)];
        }
        std::reverse(out.label.begin() + begin, out.label.end());
        std::reverse(out.start.begin() + begin, out.start.end());
        std::reverse(out.stop.begin() + begin, out.stop.end());
        std::reverse(out.score.begin() + begin, out.score.end());
        out.length.push_back(static_cast<std::int64_t>(out.label.size()) - begin);
        out.acoustic.push_back(kept.mass);
        out.total.push_back(kept.score);
    }
}

namespace {

template <class T>
struct Worker {
    BeamSearch<T> search;
    Pacer pacer;
};

}  // namespace

template <class T>
Run search_beams(const BeamKernels<T>& kernels, const Ragged& frames, const BeamOptions& options, int threads,
                 double work_per_thread, Pulse& pulse, std::vector<Labellings>& out) {
    const std::int64_t columns = frames.count > 0 ? frames.columns_of(0) : 0;
    return run_batch(
        frames.count, beam_work(frames, options.width), threads, work_per_thread, pulse,
        [&] { return Worker<T>{{kernels, options, columns}, Pacer(pulse)}; },
        [&](Worker<T>& worker, std::int64_t p, std::int64_t) {
            Labellings& found = out[static_cast<std::size_t>(p)];
            worker.search.begin();
            std::int64_t bad = 0;
            const auto read = worker.search.read(frames.at<T>(p), worker.pacer, bad);
            if (read == BeamSearch<T>::Read::stopped) return p;
            if (read == BeamSearch<T>::Read::whole) {
                if (!worker.search.find_best(found, worker.pacer)) return p;
            } else {
                found.status = Status::nan;
                found.bad = bad;
            }
            return p + 1;
        });
}

template class BeamSearch<float>;
template class BeamSearch<double>;
template Run search_beams<float>(const BeamKernels<float>&, const Ragged&, const BeamOptions&, int, double, Pulse&,
                                 std::vector<Labellings>&);
template Run search_beams<double>(const BeamKernels<double>&, const Ragged&, const BeamOptions&, int, double, Pulse&,
                                  std::vector<Labellings>&);

}  // namespace coalign::ctc
