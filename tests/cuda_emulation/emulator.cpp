#include "emulator.hpp"

#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define COALIGN_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define COALIGN_ASAN 1
#endif
#endif
#ifdef COALIGN_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace coalign::emulation {
namespace {

constexpr unsigned kWarp = 32;
constexpr std::size_t kStackBytes = 256 * 1024;
// How much of a stack starts as noise: more than a kernel's own frame.
constexpr std::size_t kNoisyBytes = 16 * 1024;
// As often threads may look for what they wait for, while all others wait too.
constexpr int kMostLooks = 100;

// A NaN as float and as double, and far from any index as an integer.
void fill_with_noise(void* memory, std::size_t bytes) {
    std::memset(memory, 0xff, bytes);
}

// Where a fiber goes on, or the scheduler. swapcontext sets the signal mask each time, which took half the time of a
// test, and the address sanitizer clears the marks of the whole stack, which took more. So GCC's own jumps are used
// where they were tried; those of clang end in invalid pointers.
#if defined(__x86_64__) && !defined(__clang__)
using Place = void* [5];

// A function of its own: GCC takes the place before a jump out of the same function as never reached again.
[[gnu::noipa, gnu::no_sanitize("address")]] void jump(Place& to) {
    __builtin_longjmp(to, 1);
}
[[gnu::noipa, gnu::no_sanitize("address")]] void go_on(Place& from, Place& to) {
    if (__builtin_setjmp(from) == 0) jump(to);
}
[[gnu::noipa, gnu::no_sanitize("address")]] void begin(Place& from, const ucontext_t& to) {
    if (__builtin_setjmp(from) == 0) setcontext(&to);
}
#else
using Place = ucontext_t;

void go_on(Place& from, Place& to) {
    swapcontext(&from, &to);
}
void begin(Place& from, const ucontext_t& to) {
    swapcontext(&from, &to);
}
#endif

struct Fiber {
    ucontext_t context{};
    Place place{};
    bool began = false;
    void* stack = nullptr;
    void* fake_stack = nullptr;
    Here here;
    unsigned index = 0;
    bool ended = false;
    // What it waits for; `none` when it can go on.
    Collective waits = Collective::none;
    unsigned mask = 0;
    unsigned line = 0;
    std::uint64_t value = 0;
    std::array<std::uint64_t, kWarp> received{};
};

std::string name(Collective operation) {
    switch (operation) {
        case Collective::barrier:
            return "__syncwarp";
        case Collective::ballot:
            return "a ballot";
        case Collective::minimum:
            return "a minimum";
        case Collective::shuffle:
            return "a shuffle";
        case Collective::block:
            return "__syncthreads";
        case Collective::pause:
            return "__nanosleep";
        case Collective::none:
            break;
    }
    return "nothing";
}

enum class Fault { none, unnamed_caller, unnamed_source };

// The block that runs now. Launches are one at a time, whatever thread of the process makes them.
class Block {
   public:
    explicit Block(unsigned threads) : fibers_(threads) {
        for (Fiber& fiber : fibers_) {
            fiber.stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (fiber.stack == MAP_FAILED) throw std::bad_alloc();
        }
    }
    Block(const Block&) = delete;
    ~Block() {
        for (Fiber& fiber : fibers_) munmap(fiber.stack, kStackBytes);
    }

    void run(const Shape& shape, Index block, const std::function<void()>& thread, std::mt19937_64& random);
    void wait(Collective operation, unsigned mask, std::uint64_t value, unsigned line = 0);
    Fiber& running() { return *running_; }
    // Gives the block up. Whatever the running fiber holds is never freed, so the words are put together elsewhere.
    void fail(Fault fault, Collective operation, unsigned lane) {
        fault_ = fault;
        running_->waits = operation;
        faulty_lane_ = lane;
        leave(false);
    }
    void* shared() { return shared_.get(); }

   private:
    static void enter();
    void resume(Fiber& fiber);
    void leave(bool for_good);
    void release();
    void release_block();
    void release_warp(std::size_t first);
    bool wake();
    void raise_fault() const;
    std::string stuck() const;

    std::vector<Fiber> fibers_;
    Fiber* running_ = nullptr;
    Place scheduler_{};
    [[maybe_unused]] void* scheduler_fake_stack_ = nullptr;
    [[maybe_unused]] const void* scheduler_stack_ = nullptr;
    [[maybe_unused]] std::size_t scheduler_stack_bytes_ = 0;
    const std::function<void()>* thread_ = nullptr;
    std::unique_ptr<unsigned char[]> shared_;
    Fault fault_ = Fault::none;
    unsigned faulty_lane_ = 0;
};

Block* current = nullptr;

void Block::enter() {
    Block& block = *current;
#ifdef COALIGN_ASAN
    __sanitizer_finish_switch_fiber(nullptr, &block.scheduler_stack_, &block.scheduler_stack_bytes_);
#endif
    (*block.thread_)();
    block.running_->ended = true;
    block.leave(true);
}

void Block::resume(Fiber& fiber) {
    running_ = &fiber;
#ifdef COALIGN_ASAN
    __sanitizer_start_switch_fiber(&scheduler_fake_stack_, fiber.stack, kStackBytes);
#endif
    if (fiber.began) {
        go_on(scheduler_, fiber.place);
    } else {
        fiber.began = true;
        begin(scheduler_, fiber.context);
    }
#ifdef COALIGN_ASAN
    __sanitizer_finish_switch_fiber(scheduler_fake_stack_, nullptr, nullptr);
#endif
}

void Block::leave(bool for_good) {
    Fiber& fiber = *running_;
#ifdef COALIGN_ASAN
    __sanitizer_start_switch_fiber(for_good ? nullptr : &fiber.fake_stack, scheduler_stack_, scheduler_stack_bytes_);
#else
    static_cast<void>(for_good);
#endif
    go_on(fiber.place, scheduler_);
#ifdef COALIGN_ASAN
    __sanitizer_finish_switch_fiber(fiber.fake_stack, &scheduler_stack_, &scheduler_stack_bytes_);
#endif
}

void Block::wait(Collective operation, unsigned mask, std::uint64_t value, unsigned line) {
    running_->waits = operation;
    running_->mask = mask;
    running_->line = line;
    running_->value = value;
    leave(false);
}

// Lets go of the threads whose collective is complete.
void Block::release() {
    release_block();
    for (std::size_t first = 0; first < fibers_.size(); first += kWarp) release_warp(first);
}

void Block::release_block() {
    const auto arrived = [](const Fiber& fiber) { return fiber.waits == Collective::block; };
    // As on a GPU, threads that have returned are not waited for; a thread that waits elsewhere is.
    if (!std::all_of(fibers_.begin(), fibers_.end(), [&](const Fiber& f) { return f.ended || arrived(f); })) return;
    const Fiber* first = nullptr;
    for (Fiber& fiber : fibers_) {
        if (!arrived(fiber)) continue;
        if (first == nullptr) first = &fiber;
        if (fiber.line != first->line)
            throw FaultError("threads of one block meet at barriers in different places: lines " +
                             std::to_string(first->line) + " and " + std::to_string(fiber.line));
        fiber.waits = Collective::none;
    }
}

void Block::release_warp(std::size_t first) {
    const std::size_t lanes = std::min<std::size_t>(kWarp, fibers_.size() - first);
    for (std::size_t lane = 0; lane < lanes; ++lane) {
        const Collective waits = fibers_[first + lane].waits;
        const unsigned mask = fibers_[first + lane].mask;
        if (waits == Collective::none || waits == Collective::block) continue;
        const auto named = [&](std::size_t at) { return mask >> at & 1u; };
        bool complete = true;
        for (std::size_t at = 0; at < kWarp && complete; ++at) {
            if (!named(at)) continue;
            complete = at < lanes && !fibers_[first + at].ended && fibers_[first + at].waits == waits &&
                       fibers_[first + at].mask == mask;
        }
        if (!complete || !named(lane)) continue;
        std::array<std::uint64_t, kWarp> values{};
        for (std::size_t at = 0; at < lanes; ++at) values[at] = fibers_[first + at].value;
        for (std::size_t at = 0; at < lanes; ++at) {
            if (!named(at)) continue;
            fibers_[first + at].received = values;
            fibers_[first + at].waits = Collective::none;
        }
    }
}

// Ends the pauses; false where there are none.
bool Block::wake() {
    bool any = false;
    for (Fiber& fiber : fibers_) {
        if (fiber.ended || fiber.waits != Collective::pause) continue;
        fiber.waits = Collective::none;
        any = true;
    }
    return any;
}

void Block::raise_fault() const {
    if (fault_ == Fault::unnamed_caller)
        throw FaultError(name(running_->waits) + ": the mask does not name the calling lane");
    if (fault_ == Fault::unnamed_source)
        throw FaultError("a shuffle reads lane " + std::to_string(faulty_lane_) + ", which its mask does not name");
}

std::string Block::stuck() const {
    std::string text = "no thread can go on:";
    int shown = 0;
    for (const Fiber& fiber : fibers_) {
        if (fiber.ended || ++shown > 4) continue;
        text += " thread " + std::to_string(fiber.index) + " waits at " + name(fiber.waits);
        if (fiber.waits != Collective::block) text += " with mask " + std::to_string(fiber.mask);
        text += ';';
    }
    const auto ended = std::count_if(fibers_.begin(), fibers_.end(), [](const Fiber& f) { return f.ended; });
    return text + ' ' + std::to_string(ended) + " of " + std::to_string(fibers_.size()) + " threads have ended";
}

void Block::run(const Shape& shape, Index block, const std::function<void()>& thread, std::mt19937_64& random) {
    thread_ = &thread;
    fault_ = Fault::none;
    // Exactly as large as asked for, so that the address sanitizer sees what lies past it.
    shared_.reset(new unsigned char[std::max<std::size_t>(shape.shared_bytes, 1)]);
    fill_with_noise(shared_.get(), shape.shared_bytes);
    unsigned index = 0;
    for (Fiber& fiber : fibers_) {
        const Index at{index % shape.block.x, index / shape.block.x % shape.block.y,
                       index / shape.block.x / shape.block.y};
        fiber.here = {at, block, shape.block, shape.grid};
        fiber.index = index++;
        fiber.began = fiber.ended = false;
        fiber.waits = Collective::none;
#ifdef COALIGN_ASAN
        // A thread that was given up left its frames marked.
        __asan_unpoison_memory_region(fiber.stack, kStackBytes);
#endif
        // What a thread has not written is noise.
        fill_with_noise(static_cast<unsigned char*>(fiber.stack) + kStackBytes - kNoisyBytes, kNoisyBytes);
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack;
        fiber.context.uc_stack.ss_size = kStackBytes;
        fiber.context.uc_link = nullptr;
        makecontext(&fiber.context, &Block::enter, 0);
    }
    std::vector<Fiber*> ready;
    const auto take_ready = [&](std::size_t but) {
        ready.clear();
        for (Fiber& fiber : fibers_)
            if (!fiber.ended && fiber.waits == Collective::none && fiber.index / kWarp != but) ready.push_back(&fiber);
    };
    // One warp stays behind until the others can go no further without it, as on a GPU it may.
    const std::size_t warps = (fibers_.size() + kWarp - 1) / kWarp;
    std::size_t held = random() % warps;
    int looks = 0;
    while (true) {
        release();
        take_ready(held);
        if (ready.empty()) {
            take_ready(warps);
            held = random() % warps;
        }
        if (ready.empty()) {
            if (++looks > kMostLooks || !wake()) break;
            continue;
        }
        std::shuffle(ready.begin(), ready.end(), random);
        for (Fiber* fiber : ready) {
            resume(*fiber);
            raise_fault();
            if (fiber->waits != Collective::pause) looks = 0;
        }
    }
    if (!std::all_of(fibers_.begin(), fibers_.end(), [](const Fiber& f) { return f.ended; })) throw FaultError(stuck());
}

}  // namespace

void Stream::synchronize() {
    std::deque<std::function<void()>> work;
    work.swap(queue_);
    for (const auto& item : work) item();
}

Stream& default_stream() {
    static Stream stream;
    return stream;
}

void enqueue(Stream* stream, std::function<void()> work) {
    Stream& queue = stream == nullptr ? default_stream() : *stream;
    queue.push(std::move(work));
    if (machine.is_prompt) queue.synchronize();
}

bool is_valid(const Shape& shape) {
    const auto product = [](Index i) { return static_cast<std::uint64_t>(i.x) * i.y * i.z; };
    return product(shape.grid) > 0 && shape.grid.x < 1u << 31 && shape.grid.y < 1u << 16 && shape.grid.z < 1u << 16 &&
           product(shape.block) > 0 && product(shape.block) <= 1024 && shape.shared_bytes <= kMostSharedBytes;
}

void run_grid(const Shape& shape, const std::function<void()>& thread) {
    static std::mutex one_at_a_time;
    const std::lock_guard lock(one_at_a_time);
    ++machine.launches;
    std::mt19937_64 random(machine.seed);
    std::vector<std::uint64_t> blocks(static_cast<std::size_t>(shape.grid.x) * shape.grid.y * shape.grid.z);
    std::iota(blocks.begin(), blocks.end(), std::uint64_t{0});
    std::shuffle(blocks.begin(), blocks.end(), random);
    Block block(shape.block.x * shape.block.y * shape.block.z);
    struct Turn {
        explicit Turn(Block* running) { current = running; }
        ~Turn() { current = nullptr; }
    };
    const Turn turn(&block);
    for (const std::uint64_t at : blocks) {
        const std::uint64_t plane = at / shape.grid.x;
        const Index index{static_cast<unsigned>(at % shape.grid.x), static_cast<unsigned>(plane % shape.grid.y),
                          static_cast<unsigned>(plane / shape.grid.y)};
        block.run(shape, index, thread, random);
    }
}

const Here& here() {
    return current->running().here;
}

unsigned lane_index() {
    return current->running().index % kWarp;
}

void block_barrier(unsigned line) {
    current->wait(Collective::block, 0, 0, line);
}

const std::array<std::uint64_t, 32>& exchange(Collective operation, unsigned mask, std::uint64_t value) {
    if ((mask >> lane_index() & 1u) == 0) current->fail(Fault::unnamed_caller, operation, 0);
    current->wait(operation, mask, value);
    return current->running().received;
}

void pause() {
    current->wait(Collective::pause, 0, 0);
}

void require_lane(unsigned mask, unsigned lane) {
    if ((mask >> lane & 1u) == 0) current->fail(Fault::unnamed_source, Collective::shuffle, lane);
}

void* shared_memory() {
    return current->shared();
}

}  // namespace coalign::emulation
