"""Small wrong changes to the sources, and the tests that have to turn red for each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """One wrong change: `old`, which stands once in `file`, becomes `new`.

    `killers` are arguments of pytest, or `native:NAME` for a native test. The mutation is killed
    when one of them fails. `needs` names a package without which its killers would be skipped.
    """

    name: str
    file: str
    old: str
    new: str
    killers: tuple[str, ...]
    needs: str | None = None

    @property
    def is_native(self) -> bool:
        """Whether the change asks for a build."""
        return self.file.endswith((".cpp", ".hpp", ".cu", ".cuh", ".h"))


ASSIGNMENT = "tests/test_assignment_values.py"
TIES = "tests/test_assignment_ties.py"
ASSIGNMENT_ERRORS = "tests/test_assignment_errors.py"
ASSIGNMENT_INDEPENDENCE = "tests/test_assignment_independence.py"
SENTINELS = "tests/test_assignment_sentinels.py"
GAP = "tests/test_assignment_gap.py"
RANKING = "tests/test_assignment_ranking.py"
SPARSE = "tests/test_assignment_sparse.py"
VALUES = "tests/test_warping_values.py"
PATHS = "tests/test_warping_paths.py"
WINDOWS = "tests/test_warping_windows.py"
INDEPENDENCE = "tests/test_warping_independence.py"
ERRORS = "tests/test_warping_errors.py"
ARRAYS = "tests/test_arrays.py"
BINDINGS = "tests/test_bindings.py"
FRONT = "tests/test_front_door.py"
EXECUTION = "tests/test_execution.py"
PROGRESS = "tests/test_progress.py"
TORCH = "tests/test_interop_torch.py"
PACKAGE = "tests/test_package.py"
CUDA = "tests/test_cuda_warping.py"
CUDA_ASSIGNMENT = "tests/test_cuda_assignment.py"
DEMO = "tests/test_demo.py"
REPORT = "tests/test_bench_report.py"
CENSUS = "tests/test_bench_census.py"


def kept(cell: str) -> str:
    """The test of one promise on one function."""
    return f"tests/test_contract.py::test_the_promise_is_kept[{cell}]"


WARPING_KERNELS = [
    Mutation(
        "the left neighbour is forgotten",
        "csrc/warping/lattice.hpp",
        "minimum(minimum(corner, left), up)",
        "minimum(corner, up)",
        (f"{VALUES}::test_the_golden_example",),
    ),
    Mutation(
        "a row's window stops one column late",
        "csrc/warping/lattice.hpp",
        "(column < load_int<T>(stop",
        "(column <= load_int<T>(stop",
        (f"{VALUES}::test_costs_at_the_edges_of_every_block",),
    ),
    Mutation(
        "cosine costs fall below 0",
        "csrc/warping/lattice.hpp",
        "return select(cost > Vec<T>{}, cost, Vec<T>{});",
        "return cost;",
        (f"{VALUES}::test_cosine_is_never_negative",),
    ),
    Mutation(
        "close frames keep the expanded square",
        "csrc/warping/lattice.hpp",
        "if (any(close)) [[unlikely]]",
        "if (false && any(close)) [[unlikely]]",
        ("native:test_warping",),
    ),
    Mutation(
        "squares that overflow pass for far",
        "csrc/warping/lattice.hpp",
        "return fused(splat<T>(-kSafe), squares, cost) >= Vec<T>{};",
        "return cost >= splat<T>(kSafe) * squares;",
        (f"{VALUES}::test_far_frames_that_are_close_to_each_other_overflow_nothing",),
    ),
    Mutation(
        "the strip's last row lands one column early",
        "csrc/warping/kernels.cpp",
        "store(pass.row + step - kDelay * (width - 1), bottom);",
        "store(pass.row + step - kDelay * (width - 1) - 1, bottom);",
        (f"{VALUES}::test_costs_of_long_series",),
    ),
    Mutation(
        "a -inf of a cost matrix is no cause for suspicion",
        "csrc/warping/kernels.cpp",
        "suspicious |= !(*out > -inf);",
        "suspicious |= *out != *out;",
        (f"{ERRORS}::test_precomputed_costs_that_are_none",),
    ),
]

WARPING_DRIVERS = [
    Mutation(
        "a window that starts late still has a way in",
        "csrc/warping/lane_group.cpp",
        "if (bounds_.begin == 0) std::fill(diagonal, diagonal + width, T(0));",
        "std::fill(diagonal, diagonal + width, T(0));",
        (f"{ERRORS}::test_a_path_starts_at_the_first_column_or_not_at_all", "native:test_warping"),
    ),
    Mutation(
        "a block takes its first diagonal one column late",
        "csrc/warping/lane_group.cpp",
        "std::copy_n(row + (bounds_.begin - 1) * width, width, diagonal);",
        "std::copy_n(row + bounds_.begin * width, width, diagonal);",
        (f"{VALUES}::test_costs_at_the_edges_of_every_block",),
    ),
    Mutation(
        "lanes drop their masks where only the last row of a block is clear",
        "csrc/warping/lane_group.cpp",
        "bounds_.clear_end = std::min(bounds_.clear_end, top.stop);",
        "bounds_.clear_end = std::min(bounds_.clear_end, bottom.stop);",
        (f"{VALUES}::test_costs_at_the_edges_of_every_block",),
    ),
    Mutation(
        "lanes give up where a way on still costs max_cost",
        "csrc/warping/lane_group.cpp",
        "!(static_cast<double>(least[at]) > options_.max_cost)",
        "!(static_cast<double>(least[at]) >= options_.max_cost)",
        ("native:test_warping",),
    ),
    Mutation(
        "lanes give up as soon as one pair is hopeless",
        "csrc/warping/lane_group.cpp",
        "if (live && !(static_cast<double>(least[at]) > options_.max_cost)) return false;",
        "if (live && static_cast<double>(least[at]) > options_.max_cost) return true;",
        (f"{VALUES}::test_max_cost_of_a_long_pair_and_of_its_prefix", "native:test_warping"),
    ),
    Mutation(
        "lanes never pack the rows past the first stretch",
        "csrc/warping/lane_group.cpp",
        "if (in_stretch == 0) pack(",
        "if (first == 0) pack(",
        ("native:test_warping",),
    ),
    Mutation(
        "one pair may take the memory of a whole group",
        "csrc/warping/warping.cpp",
        "return held <= std::max(kLaneMemory, 4 * elements * static_cast<double>(sizeof(T)));",
        "return held >= 0;",
        (f"{EXECUTION}::test_a_long_pair_in_a_narrow_band_takes_little_memory",),
    ),
    Mutation(
        "strips drop their masks where only the last row of a block is clear",
        "csrc/warping/strips.cpp",
        "clear_end = std::min(clear_end, range(top).stop + lane * kDelay);",
        "clear_end = std::min(clear_end, range(bottom).stop + lane * kDelay);",
        (f"{VALUES}::test_costs_at_the_edges_of_every_block",),
    ),
    Mutation(
        "the lattice is entered at a cost of infinity",
        "csrc/warping/strips.cpp",
        "if (before == offset_ - 1) *diagonal_of_top = T(0);",
        "if (before == offset_ - 1) *diagonal_of_top = kInfinity<T>;",
        (f"{PATHS}::test_the_golden_path", f"{VALUES}::test_costs"),
    ),
    Mutation(
        "a strip takes its first diagonal one column late",
        "csrc/warping/strips.cpp",
        "const std::int64_t before = strip.begin * kDelay - 1;",
        "const std::int64_t before = strip.begin * kDelay;",
        (f"{VALUES}::test_costs_at_the_edges_of_every_block",),
    ),
    Mutation(
        "ties prefer the step in y",
        "csrc/warping/strips.cpp",
        "} else if (may_rise && !(left < up)) {",
        "} else if (may_rise && up < left) {",
        (f"{PATHS}::test_a_tie_without_the_diagonal_goes_to_x",),
    ),
    Mutation(
        "a path may leave the window where the numbers say so",
        "csrc/warping/strips.cpp",
        "const bool may_cross = j > over.start && j <= over.stop,",
        "const bool may_cross = true,",
        ("native:test_warping",),
    ),
    Mutation(
        "a cell that is no cost passes for one outside the window",
        "csrc/warping/strips.cpp",
        "if (!spoilt || *spoilt) return",
        "if (!spoilt) return",
        (f"{ERRORS}::test_no_path_is_traced_through_what_is_no_cost",),
    ),
    Mutation(
        "a strip always runs again from its first snapshot",
        "csrc/warping/strips.cpp",
        "const std::int64_t snapshot = (from - strip.begin) / kSnapshotBlocks;",
        "const std::int64_t snapshot = 0;",
        (f"{PATHS}::test_long_paths_cost_what_they_say",),
    ),
    Mutation(
        "the whole row above is restored for every stretch of a path",
        "csrc/warping/strips.cpp",
        "restore_row(index, from * kDelay, to * kDelay);",
        "restore_row(index, 0, offset_ + m_);",
        (f"{PATHS}::test_the_path_of_a_long_series_in_a_narrow_band_takes_a_few_times_its_cost",),
    ),
    Mutation(
        "a group runs again without the steps by which its lanes trail",
        "csrc/warping/strips.cpp",
        "floor_div(column + kDelay * (kernels_.width - 1), kDelay) + 1",
        "floor_div(column, kDelay) + 1",
        (f"{PATHS}::test_paths_by_groups_of_strips_are_the_same",),
    ),
    Mutation(
        "a strip gives up where a way on still costs max_cost",
        "csrc/warping/strips.cpp",
        "return static_cast<double>(least) > options_.max_cost;",
        "return static_cast<double>(least) >= options_.max_cost;",
        ("native:test_warping",),
    ),
    Mutation(
        "the mirrored half is written above the diagonal only",
        "csrc/warping/warping.cpp",
        "if (symmetric) out[j * stride + i] = value;",
        "if (symmetric && i < j) out[j * stride + i] = value;",
        (f"{VALUES}::test_a_collection_with_itself_is_the_same_as_with_its_copy",),
    ),
    Mutation(
        "a cost that equals max_cost is refused",
        "csrc/warping/warping.cpp",
        "const bool exceeds = static_cast<double>(cost) > options.max_cost;",
        "const bool exceeds = static_cast<double>(cost) >= options.max_cost;",
        (f"{VALUES}::test_max_cost_is_a_sharp_limit",),
    ),
    Mutation(
        "frames are scaled by their largest value only",
        "csrc/warping/inputs.cpp",
        "frame[d] / largest / norm;",
        "frame[d] / largest;",
        (f"{VALUES}::test_cosine_does_not_depend_on_the_frames_lengths",),
    ),
    Mutation(
        "frames of negative values are taken for zero frames",
        "csrc/warping/inputs.cpp",
        "largest = std::max(largest, std::abs(frame[d]));",
        "largest = std::max(largest, frame[d]);",
        ("native:test_inputs",),
    ),
    Mutation(
        "a bad value is looked for in the first place of its item",
        "csrc/warping/inputs.cpp",
        "const std::int64_t size = sides_[side].rows_of(item) * sides_[side].columns;",
        "const std::int64_t size = 1;",
        ("native:test_inputs",),
    ),
]

WARPING_WINDOWS = [
    Mutation(
        "a slanted row starts at a cell rounded down",
        "csrc/warping/window.cpp",
        "return {-floor_div(reach - centre, n - 1),",
        "return {floor_div(centre - reach, n - 1),",
        (f"{WINDOWS}::test_slanted_windows_hold_the_cells_of_their_definition",),
    ),
    Mutation(
        "a band is not widened for the longer x",
        "csrc/warping/window.cpp",
        "i - radius - std::max<std::int64_t>(0, n - m)",
        "i - radius",
        (f"{WINDOWS}::test_bands_hold_the_cells_of_their_definition",),
    ),
    Mutation(
        "a path may not step down diagonally into a row",
        "csrc/warping/window.cpp",
        "if (first > last + 1 ||",
        "if (first > last ||",
        (f"{WINDOWS}::test_costs_in_windows_given_by_rows_that_hold_a_path", "native:test_window"),
    ),
    Mutation(
        "rows whose windows do not meet are called feasible",
        "csrc/warping/window.cpp",
        "if (first > last + 1 ||",
        "if (first > last + 2 ||",
        (f"{WINDOWS}::test_rows_that_no_path_fits",),
    ),
    Mutation(
        "a slanted window reaches native code as a band",
        "python/coalign/_warping.py",
        'return "slanted", window.radius',
        'return "band", window.radius',
        (f"{VALUES}::test_costs",),
    ),
]

MATH = [
    Mutation(
        "exp goes on past the end of the range",
        "csrc/core/math.hpp",
        "select(x <= C::kExpMost, scaled, x + infinity<T>())",
        "scaled",
        ("native:test_math",),
    ),
    Mutation(
        "exp leaves results below the normal numbers",
        "csrc/core/math.hpp",
        "return select(x < C::kExpLeast, Vec<T>{}, power * scale);",
        "return power * scale;",
        ("native:test_math",),
    ),
    Mutation(
        "exp takes off ln 2 in one part",
        "csrc/core/math.hpp",
        "fused(n, splat(-C::kLn2Low), fused(n, splat(-C::kLn2High), x))",
        "fused(n, splat(-C::kLn2High - C::kLn2Low), x)",
        ("native:test_math",),
    ),
    Mutation(
        "a term of the logarithm is wrong in its sixth digit",
        "csrc/core/math.hpp",
        "0x1.5555e6p-2f",
        "0x1.5556e6p-2f",
        ("native:test_math",),
    ),
    Mutation(
        "a polynomial in even and odd terms mixes them up",
        "csrc/core/math.hpp",
        "return kTerms % 2 == 0 ? fused(sums[1], x, sums[0])",
        "return kTerms % 2 == 0 ? fused(sums[0], x, sums[1])",
        ("native:test_math",),
    ),
    Mutation(
        "denormal numbers have the logarithm of a normal one",
        "csrc/core/math.hpp",
        "const IntVec<T> denormal = x < Limits::min();",
        "const IntVec<T> denormal = x < T(0);",
        ("native:test_math",),
    ),
    Mutation(
        "log1p forgets what 1 + x rounds off",
        "csrc/core/math.hpp",
        "fused(x * T(0.25), scale, fused(scale, splat(T(0.25)), splat(T(-1))))",
        "sum * T(0.25) * scale - T(1)",
        ("native:test_math",),
    ),
    Mutation(
        "two scores of -inf make NaN",
        "csrc/core/math.hpp",
        "log_one_and<1>(exp_nonpositive<T>(low - from))",
        "log_one_and<1>(exp_nonpositive<T>(low - high))",
        ("native:test_math",),
    ),
    Mutation(
        "log-sum-exp loses a NaN in its first operand",
        "csrc/core/math.hpp",
        "const Vec<T> high = larger(a, b), low = smaller(b, a);",
        "const Vec<T> high = larger(a, b), low = smaller(a, b);",
        ("native:test_math",),
    ),
    Mutation(
        "exponents change at 1 and mantissas at 3/4",
        "csrc/core/lanes/plain.hpp",
        "reinterpret_cast<UInt32Lanes>(x) + (0x3f800000u - 0x3f400000u)",
        "reinterpret_cast<UInt32Lanes>(x)",
        ("native:test_math",),
    ),
    Mutation(
        "a reduction leaves out the last element of a row",
        "csrc/core/reduce.hpp",
        "} else if (at + i * width < end) {",
        "} else if (at + i * width + 1 < end) {",
        ("native:test_reduce",),
    ),
    Mutation(
        "a row that holds inf hides its NaN",
        "csrc/core/reduce.hpp",
        "block_has_nan(row, begin, end) ? Limits::quiet_NaN() : most}",
        "most}",
        ("native:test_reduce",),
    ),
    Mutation(
        "two parts of a log-sum-exp are added as they are",
        "csrc/core/reduce.hpp",
        "a.sum * exp_nonpositive<T>(splat(a.from - from))[0]",
        "a.sum",
        ("native:test_reduce",),
    ),
    Mutation(
        "blocks are added one after the other",
        "csrc/core/index_tree.hpp",
        "merged % 2 != 0; merged /= 2",
        "merged != 0; merged = 0",
        ("native:test_reduce",),
    ),
    Mutation(
        "what is left over in a tree is joined from its beginning",
        "csrc/core/index_tree.hpp",
        "int at = height - 2; at >= 0; --at) value = combine(branches[at], value)",
        "int at = 0; at < height - 1; ++at) value = combine(branches[at], value)",
        ("native:test_reduce",),
    ),
    Mutation(
        "the last chunk goes past the end",
        "csrc/core/parallel.hpp",
        "std::min(at * chunk + chunk, count)",
        "at * chunk + chunk",
        ("native:test_reduce",),
    ),
]

SHARED_NATIVE = [
    Mutation(
        "lanes shift around in a circle",
        "csrc/core/lanes.hpp",
        "return __builtin_shufflevector(v, in, (I + 1)...);",
        "return __builtin_shufflevector(v, v, (I + 1)...);",
        ("native:test_lanes",),
    ),
    Mutation(
        "a transposition leaves out a round",
        "csrc/core/lanes.hpp",
        "for (int round = 1; kCount > 1 && round < kWidth<T>; round *= 2) {",
        "for (int round = 2; kCount > 1 && round < kWidth<T>; round *= 2) {",
        (f"{VALUES}::test_costs",),
    ),
    Mutation(
        "AVX-512 multiplies and adds with two roundings",
        "csrc/core/lanes/v4.hpp",
        "return _mm512_fmadd_ps(a, b, c);",
        "return a * b + c;",
        ("native:test_lanes",),
    ),
    Mutation(
        "two statuses change places",
        "csrc/core/status.hpp",
        "{ ok, nan, infeasible, not_converged,",
        "{ ok, nan, not_converged, infeasible,",
        (f"{ERRORS}::test_infeasible_problems",),
    ),
    Mutation(
        "the instruction set asked for is ignored",
        "csrc/core/isa.cpp",
        "if (name(isa) == wanted) return isa;",
        "if (name(isa) == wanted) return found.back();",
        (f"{VALUES}::test_the_forced_instruction_set_reaches_the_kernels",),
    ),
    Mutation(
        "AVX2 kernels run where AVX-512 was chosen",
        "csrc/core/isa_table.hpp",
        "return isa == Isa::v4   ? v4::kernel_table<Table>()",
        "return isa == Isa::v4   ? v3::kernel_table<Table>()",
        (f"{VALUES}::test_the_forced_instruction_set_reaches_the_kernels",),
    ),
    Mutation(
        "the first task is skipped",
        "csrc/core/parallel.cpp",
        "std::atomic<std::int64_t> next{0};",
        "std::atomic<std::int64_t> next{1};",
        (f"{VALUES}::test_the_golden_example",),
    ),
    Mutation(
        "what a worker throws is lost",
        "csrc/core/parallel.cpp",
        "if (!failure) failure = std::current_exception();",
        "",
        ("native:test_parallel",),
    ),
    Mutation(
        "nobody listens while the caller waits for its workers",
        "csrc/core/parallel.cpp",
        "            lock.unlock();\n            pulse.alive();\n",
        "            lock.unlock();\n",
        ("native:test_parallel",),
    ),
    Mutation(
        "the monitor is never asked",
        "csrc/core/parallel.cpp",
        "if (now - last_ < kInterval) return true;",
        "if (now - last_ < kInterval * 100000) return true;",
        (f"{PROGRESS}::test_a_function_hears_of_a_long_call_while_it_runs",),
    ),
    Mutation(
        "of each block only the last value has to be finite",
        "csrc/core/finite.hpp",
        "finite &= values[i]",
        "finite = values[i]",
        (kept("values-dtw-v2-front"),),
    ),
    Mutation(
        "infinite values pass for finite",
        "csrc/core/finite.hpp",
        "finite &= values[i] * T(0) == T(0);",
        "finite &= values[i] == values[i];",
        (kept("values-dtw-v2-front"),),
    ),
    Mutation(
        "a buffer never grows",
        "csrc/core/buffer.hpp",
        "if (count > capacity_) {",
        "if (capacity_ == 0) {",
        ("native:test_warping",),
    ),
    Mutation(
        "what a signal handler raises is dropped",
        "csrc/bindings/module.cpp",
        "if (PyErr_CheckSignals() != 0) throw py::error_already_set();",
        "if (PyErr_CheckSignals() != 0) PyErr_Clear();",
        (kept("gil-dtw_cdist"),),
    ),
    Mutation(
        "what interrupted a call is not raised",
        "csrc/bindings/bindings.hpp",
        "monitor.raise_pending();",
        "",
        (kept("progress-dtw_cdist-front"),),
    ),
    Mutation(
        "any radius is taken for a window",
        "csrc/bindings/warping.cpp",
        "require(read_integer(value, radius) && radius >= 0,",
        "require(read_integer(value, radius),",
        (f"{BINDINGS}::test_what_cannot_be_read_safely_is_refused",),
    ),
    Mutation(
        "series longer than lanes can count are taken",
        "csrc/bindings/batch.hpp",
        "item.rows > readable_.most || ",
        "",
        (f"{BINDINGS}::test_what_cannot_be_read_safely_is_refused",),
    ),
    Mutation(
        "an array at an odd address is plain",
        "csrc/bindings/plain.hpp",
        "if ((array_->flags & py::detail::npy_api::NPY_ARRAY_ALIGNED_) == 0) return false;",
        "",
        (f"{BINDINGS}::test_what_cannot_be_read_safely_is_refused",),
    ),
    Mutation(
        "an array of the other byte order is plain",
        "csrc/bindings/plain.hpp",
        "if (descr->byteorder != '=') return false;",
        "",
        (f"{BINDINGS}::test_what_cannot_be_read_safely_is_refused",),
    ),
    Mutation(
        "any length is in range",
        "csrc/bindings/plain.hpp",
        "if (lengths[p] < least || lengths[p] > most) return false;",
        "static_cast<void>(least), static_cast<void>(most);",
        (f"{BINDINGS}::test_what_cannot_be_read_safely_is_refused",),
    ),
    Mutation(
        "items of a list may differ in dtype",
        "csrc/bindings/batch.hpp",
        "array.is_float32() != is_float32_ || ",
        "",
        (f"{BINDINGS}::test_what_cannot_be_read_safely_is_refused",),
    ),
    Mutation(
        "the general way cannot be forced",
        "csrc/bindings/call.cpp",
        'general = forced.attr("general").cast<bool>();',
        "general = false;",
        (f"{FRONT}::test_the_general_way_is_gone_when_it_is_forced",),
    ),
    Mutation(
        "an infinity that is no cost comes back as a result",
        "csrc/bindings/assignment.cpp",
        "return answer.is_solved() ? answer",
        "return true ? answer",
        (kept("values-assign-v2-front"),),
    ),
    Mutation(
        "arrays of a result may be written",
        "csrc/bindings/result.cpp",
        "writeable ? npy_api::NPY_ARRAY_WRITEABLE_ : 0,",
        "writeable || !writeable ? npy_api::NPY_ARRAY_WRITEABLE_ : 0,",
        (kept("immutable-assign-front"),),
    ),
    Mutation(
        "an array does not hold the memory it looks into",
        "csrc/bindings/result.cpp",
        "Py_NewRef(reinterpret_cast<PyObject*>(memory))",
        "Py_NewRef(Py_None)",
        (kept("memory of its own-assign-front"),),
    ),
    Mutation(
        "a result keeps its memory for ever",
        "csrc/bindings/result.cpp",
        "    Py_XDECREF(object.memory);\n",
        "",
        (kept("leaks-assign-front"),),
    ),
    Mutation(
        "the items of a list all begin at the first",
        "csrc/bindings/result.cpp",
        "begin += counts[p] * size_of(element);",
        "",
        (kept("batches-assign-v2-front"),),
    ),
    Mutation(
        "a thread is ended inside a call when the interpreter exits",
        "csrc/bindings/module.cpp",
        """    if (interpreter_exits()) park();
    try {
        return work();
    } catch (const ForcedUnwind&) {
        park();
    }
""",
        "    return work();\n",
        (f"{EXECUTION}::test_the_interpreter_ends_while_a_daemon_thread_is_inside_a_call",),
    ),
    Mutation(
        "the GIL is held",
        "csrc/bindings/bindings.hpp",
        "const WithoutGil released;",
        "",
        (kept("gil-dtw_cdist"),),
    ),
]

SHARED_PYTHON = [
    Mutation(
        "float16 is computed in float64",
        "python/coalign/_arrays.py",
        "return array.astype(np.float32)",
        "return array.astype(np.float64)",
        (kept("dtypes-dtw-front"),),
    ),
    Mutation(
        "integers are computed in float32",
        "python/coalign/_arrays.py",
        "return array.astype(np.float64)",
        "return array.astype(np.float32)",
        (kept("dtypes-dtw-front"),),
    ),
    Mutation(
        "memory of a GPU is read as the host's",
        "python/coalign/_arrays.py",
        "or _is_tracer(obj) or not lies_on_gpu(obj):",
        "or True:",
        (
            f"{ARRAYS}::test_an_array_on_a_gpu_is_refused",
            kept("arrays on a gpu-dtw-front"),
        ),
    ),
    Mutation(
        "a list has the dtype of its first array",
        "python/coalign/_arrays.py",
        "return np.result_type(*(array.dtype for array in arrays))",
        "return first",
        (kept("mixed dtypes-dtw-front"),),
    ),
    Mutation(
        "arrays of two devices are one kind",
        "python/coalign/_arrays.py",
        "if first != second:",
        "if first.library != second.library:",
        (f"{ARRAYS}::test_kinds_that_differ_are_refused_with_the_remedy",),
    ),
    Mutation(
        "byte order is left as it is",
        "python/coalign/_arrays.py",
        'dtype=dtype.newbyteorder("=")',
        "dtype=dtype",
        (
            f"{ARRAYS}::test_what_native_code_reads_is_aligned_and_in_the_machines_byte_order",
            kept("layouts-dtw-v2-front"),
        ),
    ),
    Mutation(
        "a tensor that requires grad is taken",
        "python/coalign/_arrays.py",
        "if tensor.requires_grad:",
        "if False and tensor.requires_grad:",
        (kept("torch refusals-dtw-front"),),
        needs="torch",
    ),
    Mutation(
        "tensors come back as NumPy arrays",
        "python/coalign/_arrays.py",
        "return torch.from_numpy(np.asarray(array))",
        "return np.asarray(array)",
        (TORCH,),
        needs="torch",
    ),
    Mutation(
        "a length may be one too long",
        "python/coalign/_validate.py",
        "(values < least) | (values > longest)",
        "(values < least) | (values > longest + 1)",
        (kept("lengths-dtw-front"),),
    ),
    Mutation(
        "out may lie on an input",
        "python/coalign/_validate.py",
        "if any(_overlap(view, array) for side in inputs for array in side.arrays):",
        "if False:",
        (f"{ERRORS}::test_out_may_not_lie_on_an_input",),
    ),
    Mutation(
        "frame and dimension of a bad value change places",
        "python/coalign/_warping.py",
        "frame, dim = divmod(element,",
        "dim, frame = divmod(element,",
        (kept("values-dtw-v2-front"),),
    ),
    Mutation(
        "frames with gaps are read in place",
        "python/coalign/_batch.py",
        "array.shape[-2] <= 1 or array.strides[-2] == step",
        "array.shape[-2] <= 1 or array.strides[-2] >= step",
        (kept("layouts-dtw-v2-general"),),
    ),
    Mutation(
        "one series stands once against a batch",
        "python/coalign/_warping.py",
        "n = np.resize(n, m.shape)",
        "n = n",
        (f"{ERRORS}::test_infeasible_problems",),
    ),
    Mutation(
        "COALIGN_NUM_THREADS is ignored",
        "python/coalign/_execution.py",
        'os.environ.get("COALIGN_NUM_THREADS", "")',
        '""',
        (f"{EXECUTION}::test_the_environment_sets_the_default_number_of_threads",),
    ),
    Mutation(
        "COALIGN_ISA is ignored",
        "python/coalign/_execution.py",
        'wanted or os.environ.get("COALIGN_ISA", "")',
        'wanted or ""',
        (f"{EXECUTION}::test_the_environment_forces_an_instruction_set",),
    ),
    Mutation(
        "the instruction set of a call is not its own to force",
        "python/coalign/_execution.py",
        "wanted = override.isa if override is not None else None",
        "wanted = None",
        (f"{EXECUTION}::test_forced_collects_what_ran_and_ends_with_its_block",),
    ),
    Mutation(
        "part of a CPU is none",
        "python/coalign/_execution.py",
        "-(-int(words[0]) // int(words[1]))",
        "int(words[0]) // int(words[1])",
        (f"{EXECUTION}::test_cgroup_v2",),
    ),
    Mutation(
        "a device that is not there is computed on the CPU",
        "python/coalign/_execution.py",
        'if device == "auto":',
        "if True:",
        (f"{CUDA}::test_a_build_without_cuda",),
    ),
    Mutation(
        "both halves of a symmetric call are counted",
        "python/coalign/_warping.py",
        "total = len(rows) * (len(rows) + 1) // 2 if is_mirrored else",
        "total = shape[0] * shape[1] if is_mirrored else",
        (f"{PROGRESS}::test_the_total_counts_the_pairs_that_are_computed",),
    ),
    Mutation(
        "the end of the work is not reported",
        "python/coalign/_progress.py",
        "        call(total, total)\n",
        "",
        (f"{PROGRESS}::test_the_total_counts_the_pairs_that_are_computed",),
    ),
    Mutation(
        "infeasible problems are let through",
        "python/coalign/_pipeline.py",
        "    if infeasible.size:",
        "    if False:",
        (f"{ERRORS}::test_infeasible_problems",),
    ),
    Mutation(
        "the warping matrices pick neighbours",
        "python/coalign/_warping_result.py",
        "cells = (columns, np.arange(len(columns)))",
        "cells = (columns[::-1], np.arange(len(columns)))",
        (f"{PATHS}::test_matrices_warp_both_series",),
    ),
]

AROUND = [
    Mutation(
        "the stub forgets an argument",
        "python/coalign/_core.pyi",
        "def window_ranges(*, window: tuple[str, Any], n: int, m: int)",
        "def window_ranges(*, window: tuple[str, Any], n: int)",
        (f"{PACKAGE}::test_the_stub_has_the_signatures_of_the_native_module",),
    ),
    Mutation(
        "the demo shifts down and right only",
        "python/coalign/demo/digits.py",
        "rng.integers(0, 2 * MAX_SHIFT + 1, size=(len(images), 2))",
        "rng.integers(0, MAX_SHIFT + 1, size=(len(images), 2))",
        (f"{DEMO}::test_shift_moves_by_at_most_a_pixel_and_fills_with_zeros",),
    ),
    Mutation(
        "the demo takes the farthest neighbour",
        "python/coalign/demo/digits.py",
        "nearest = costs.argmin(axis=1)",
        "nearest = costs.argmax(axis=1)",
        (f"{DEMO}::test_methods_recognise_digits",),
    ),
    Mutation(
        "greed in the demo goes by rows",
        "python/coalign/demo/shuffle.py",
        "mutual = left.argmin(axis=0)[nearest] == np.arange(rows.size)",
        "mutual = np.arange(rows.size) == 0",
        (f"{DEMO}::test_greed_takes_the_cheapest_pair_that_is_left",),
    ),
    Mutation(
        "the demo forgets where the shuffle put the partners",
        "python/coalign/demo/shuffle.py",
        "np.argsort(shuffled)",
        "shuffled",
        (f"{DEMO}::test_partners_are_where_the_shuffle_put_them",),
    ),
    Mutation(
        "a peer may use more threads than ours",
        "bench/report.py",
        "        and other.threads <= benchmark.threads\n",
        "",
        (f"{REPORT}::test_peers_have_no_more_threads",),
    ),
    Mutation(
        "the floors of AVX2 in assignment are those of warping",
        "bench/cases_assignment.py",
        "avx2=0.7",
        "avx2=0.55",
        (f"{REPORT}::test_every_floor_of_a_case_is_held",),
    ),
    Mutation(
        "the census keeps peers whose answers are wrong",
        "bench/census.py",
        "if known is not None and not agree(",
        "if known is None and not agree(",
        (f"{CENSUS}::test_the_fastest_peer_is_kept_and_the_wrong_ones_are_named",),
    ),
    Mutation(
        "the census forgives a slow case",
        "bench/report.py",
        "self.ratio < floor.minimum",
        "self.ratio < floor.minimum / 2",
        (f"{CENSUS}::test_the_table_has_the_least_of_each_size_and_the_medians",),
    ),
    Mutation(
        "the census shows the best of its cases",
        "bench/report.py",
        "sorted(found, key=lambda one: one.ratio)",
        "sorted(found, key=lambda one: -one.ratio)",
        (f"{CENSUS}::test_the_worst_come_first",),
    ),
    Mutation(
        "the first contender of the census is always the same",
        "bench/census.py",
        "turn = at % len(runners)",
        "turn = 0",
        (f"{CENSUS}::test_contenders_take_turns_and_each_round_of_long_calls_has_its_instance",),
    ),
]

CUDA_KERNELS = [
    Mutation(
        "a launch takes any number of pairs",
        "cuda/warping.cu",
        "std::min(pairs, limits.most_pairs)",
        "std::max(pairs, limits.most_pairs)",
        ("native:test_warping_kernels",),
    ),
    Mutation(
        "a GPU forgets the left neighbour",
        "cuda/warping.cu",
        "const T best = minimum(diagonal, up, before);",
        "const T best = minimum(diagonal, up, up);",
        (f"{CUDA}::test_golden",),
    ),
    Mutation(
        "on a GPU ties prefer the step in x",
        "cuda/warping.cu",
        "const bool diagonal = (codes >> bit & 1u) == 0, up = (codes >> (32 + bit) & 1u) == 0;",
        "const bool up = (codes >> (32 + bit) & 1u) == 0, diagonal = !up && !(codes >> bit & 1u);",
        (f"{CUDA}::test_ties_prefer_the_diagonal_then_x",),
    ),
    Mutation(
        "on a GPU a band ends one column early",
        "cuda/warping_schedule.cuh",
        "stop = i + radius + (m > n ? m - n : 0) + 1;",
        "stop = i + radius + (m > n ? m - n : 0);",
        (f"{CUDA}::test_costs_and_paths_agree_with_the_cpu",),
    ),
    Mutation(
        "the first lane reads the edge column one tile late",
        "cuda/warping.cu",
        "next_[r];\n        fetch(tile + 1);",
        "next_[r];\n        fetch(tile);",
        ("native:test_warping_kernels",),
    ),
    Mutation(
        "a lane hands on its column when it has none",
        "cuda/warping.cu",
        "const bool meets = tile >= left_top && tile < left_bottom;",
        "const bool meets = tile >= left_top;",
        ("native:test_warping_kernels",),
    ),
    Mutation(
        "rounds roll on before their lanes are done",
        "cuda/warping_schedule.cuh",
        "bottom(block) < top(block + lanes) + lanes;",
        "bottom(block) < top(block + lanes) + lanes + 3;",
        ("native:test_warping_kernels",),
    ),
    Mutation(
        "a GPU takes infinite values",
        "cuda/warping.cu",
        "if (!(size < kInfinity<T>)) bad = d;",
        "if (size != size) bad = d;",
        (f"{CUDA}::test_bad_values_on_the_device_go_to_the_status",),
    ),
    Mutation(
        "a GPU reads items whose length is none",
        "cuda/warping.cu",
        "return length >= 1 && length <= side.frames ?",
        "return length <= side.frames ?",
        (f"{CUDA}::test_bad_values_on_the_device_go_to_the_status",),
    ),
    Mutation(
        "a path is written from its end",
        "cuda/warping.cu",
        "i = x_index[begin + k];",
        "i = x_index[room - 1 - k];",
        (f"{CUDA}::test_ties_prefer_the_diagonal_then_x",),
    ),
    Mutation(
        "all pairs are not mirrored on a GPU",
        "cuda/warping.cu",
        "if (pair.mirror >= 0) call.cost[pair.mirror] = result;",
        "",
        (f"{CUDA}::test_all_pairs",),
    ),
    Mutation(
        "an infeasible pair overflows",
        "cuda/warping.cu",
        "if (!schedule.bounds.feasible()) status",
        "if (false) status",
        (f"{CUDA}::test_infeasible_and_overflowing_pairs_on_the_device",),
    ),
]

CUDA_EMULATION = [
    Mutation(
        "a barrier lets threads pass one by one",
        "tests/cuda_emulation/emulator.cpp",
        "return f.ended || arrived(f); })) return;",
        "return f.ended || arrived(f); }) && false) return;",
        ("native:test_emulator",),
    ),
    Mutation(
        "barriers in different places meet",
        "tests/cuda_emulation/emulator.cpp",
        "if (fiber.line != first->line)",
        "if (false)",
        ("native:test_emulator",),
    ),
    Mutation(
        "shared memory starts as zeros",
        "tests/cuda_emulation/emulator.cpp",
        "fill_with_noise(shared_.get(), shape.shared_bytes);",
        "std::memset(shared_.get(), 1, shape.shared_bytes);",
        ("native:test_emulator",),
    ),
    Mutation(
        "threads run in the order of their index",
        "tests/cuda_emulation/emulator.cpp",
        "std::shuffle(ready.begin(), ready.end(), random);",
        "",
        ("native:test_emulator",),
    ),
    Mutation(
        "a launch does not wait for its stream",
        "tests/cuda_emulation/emulator.cpp",
        "(stream == nullptr ? default_stream() : *stream).push(std::move(work));",
        "static_cast<void>(stream);\n    work();",
        ("native:test_emulator",),
    ),
]

CUDA_FACE = [
    Mutation(
        "work goes to the stream of another device",
        "python/coalign/_device.py",
        "with self._cupy.cuda.Device(index):\n            return int(",
        "if True:\n            return int(",
        (f"{CUDA}::test_work_goes_to_the_arrays_device_and_its_stream",),
    ),
    Mutation(
        "results lie on the caller's device",
        "python/coalign/_device.py",
        "with self._memory(shape, dtype), self._cupy.cuda.Device(index):\n            "
        "return self._cupy.empty(shape, dtype)",
        "with self._memory(shape, dtype):\n            return self._cupy.empty(shape, dtype)",
        (f"{CUDA}::test_work_goes_to_the_arrays_device_and_its_stream",),
    ),
    Mutation(
        "device arrays are waited for",
        "python/coalign/_cuda_call.py",
        "call.run(workspace=workspace.pointer, stream=gpu.stream(), **arguments)",
        "call.run(workspace=workspace.pointer, stream=gpu.stream(), **arguments)\n"
        "    gpu.library.download(workspace.owner)",
        (f"{CUDA}::test_device_input_is_never_waited_for",),
    ),
    Mutation(
        "running out of device memory is not put into words",
        "python/coalign/_device.py",
        "except self._cupy.cuda.memory.OutOfMemoryError as error:",
        "except ZeroDivisionError as error:",
        (f"{CUDA}::test_running_out_of_memory_names_the_size_and_breaks_nothing",),
    ),
    Mutation(
        "a bad value from the host is not refused",
        "python/coalign/_warping.py",
        "if np.isin(found.status, (Status.NAN, Status.INVALID)).any():",
        "if False:",
        (f"{CUDA}::test_bad_values_from_the_host_are_named_as_on_the_cpu",),
    ),
    Mutation(
        "a missing device is not named",
        "python/coalign/_device.py",
        "if count == 0:\n        raise DeviceError(problem)",
        "if False:\n        raise DeviceError(problem)",
        (f"{CUDA}::test_what_is_missing_is_named",),
    ),
    Mutation(
        "out may be an input on a GPU",
        "python/coalign/_validate.py",
        "return start < end and begin < stop",
        "return False",
        (f"{CUDA}::test_shapes_and_kinds_raise_at_once",),
    ),
]

ASSIGNMENT_NATIVE = [
    Mutation(
        "a path ends where a row may be let go, however near a column is",
        "csrc/assignment/search.hpp",
        "if (end_ < now_) end_ = now_;",
        "end_ = now_;",
        (f"{ASSIGNMENT}::test_a_limit",),
    ),
    Mutation(
        "a row pairs at the limit itself",
        "csrc/assignment/dense.hpp",
        "if (!p_.has_limit || least < p_.limit) return false;",
        "if (!p_.has_limit || least <= p_.limit) return false;",
        (f"{ASSIGNMENT}::test_costs_that_are_exactly_the_limit_make_no_pair",),
    ),
    Mutation(
        "a row's dual rises above the limit",
        "csrc/assignment/dense.hpp",
        "if (p_.has_limit && p_.limit < out_.row_dual[i]) out_.row_dual[i] = p_.limit;",
        "",
        (f"{ASSIGNMENT}::test_a_limit",),
    ),
    Mutation(
        "prices stay as they were before a path",
        "csrc/assignment/search.hpp",
        "v_[settled_[k]] += reached_[k] - end_;",
        "v_[settled_[k]] += 0 * (reached_[k] - end_);",
        (f"{ASSIGNMENT}::test_every_family",),
    ),
    Mutation(
        "prices are never scaled",
        "csrc/assignment/dense.hpp",
        "left * kHardShare <= p_.rows || left < kFewRows",
        "true",
        (f"{ASSIGNMENT}::test_no_family_makes_the_solver_go_through_rows_for_long",),
    ),
    Mutation(
        "an answer that is not proved is let through",
        "csrc/assignment/proved.hpp",
        "return solve_again(problem, solution, pacer, scans);",
        "return outcome;",
        (f"{SENTINELS}::test_totals_that_only_a_second_solution_proves",),
    ),
    Mutation(
        "a certificate is trusted",
        "csrc/assignment/certificate.hpp",
        "(slack > 0 ? slack : 0) + unsure <= tolerance * size",
        "(slack > 0 ? slack : 0) + unsure <= tolerance * size + 1e300",
        ("native:test_assignment",),
    ),
    Mutation(
        "a careful start transfers reductions",
        "csrc/assignment/dense.hpp",
        "look_first<true>(false, start == Start::cold)",
        "look_first<true>(false, true)",
        (f"{SENTINELS}::test_totals_that_only_a_second_solution_proves",),
    ),
    Mutation(
        "prices are scaled by the costs that mean never",
        "csrc/assignment/dense.hpp",
        "if (scale > 0 && !(wide <= kJump * (scale > size ? scale : size))) break;",
        "",
        (f"{SENTINELS}::test_a_sentinel_costs_few_scans",),
    ),
    Mutation(
        "a warm start's prices are not bounded",
        "csrc/assignment/dense.hpp",
        "if (!bound_prices()) return stopped();",
        "",
        (f"{ASSIGNMENT}::test_a_warm_start_gives_the_optimum_whatever_it_starts_from",),
    ),
    Mutation(
        "a warm start keeps pairs whose cost has risen",
        "csrc/assignment/dense.hpp",
        "c - v_[j] - found.least <= rounding * std::abs(c)",
        "true",
        (f"{ASSIGNMENT}::test_a_warm_start_gives_the_optimum_whatever_it_starts_from",),
    ),
    Mutation(
        "a warm start rounds costs by what prices are rounded by",
        "csrc/assignment/dense.hpp",
        "rounding * std::abs(c)",
        "rounding * (std::abs(c) + std::abs(v_[j]))",
        (f"{ASSIGNMENT}::test_a_warm_start_from_prices_far_above_the_costs",),
    ),
    Mutation(
        "a warm start keeps no pair",
        "csrc/assignment/dense.hpp",
        "if (j >= 0 && j < p_.columns && out_.row_of_col[j] == kFree) {",
        "if (j >= p_.columns) {",
        (f"{ASSIGNMENT}::test_a_warm_start_keeps_pairs_that_are_as_good_as_any",),
    ),
    Mutation(
        "rows past a problem's own keep what a warm start brought",
        "csrc/bindings/result.hpp",
        "*next_ = filler_;",
        "static_cast<void>(filler_);",
        (f"{ASSIGNMENT}::test_warm_starts_of_batches_and_other_shapes",),
    ),
    Mutation(
        "a list is believed beyond its bound",
        "csrc/assignment/dense.hpp",
        "!(found.second <= lists_.bound(i))",
        "!(found.second <= 2 * lists_.bound(i))",
        (f"{ASSIGNMENT}::test_lists_of_candidates_spare_most_passes",),
    ),
    Mutation(
        "a search trusts lists beyond their horizon",
        "csrc/assignment/search.hpp",
        "horizon_[seen_] = lists_.bound(i) - offset;",
        "horizon_[seen_] = kInfinity<T>;",
        (f"{ASSIGNMENT}::test_a_limit",),
    ),
    Mutation(
        "every column of a row is reached but those of the last block",
        "csrc/assignment/frontier.hpp",
        "for (std::int64_t k = whole; k < columns; k += kWidth<T>)",
        "for (std::int64_t k = whole; k + kBlock < columns; k += kWidth<T>)",
        (f"{TIES}::test_the_optimum",),
    ),
    Mutation(
        "a list that is too long loses its least",
        "csrc/assignment/candidates.hpp",
        "if (x[k] < limit || (same && x[k] == least && left < kRoom / 2)) near[left++] = near[k];",
        "if (x[k] > least && x[k] < limit) near[left++] = near[k];",
        (f"{ASSIGNMENT}::test_the_candidates_of_rows_with_many_alike",),
    ),
    Mutation(
        "a list's bound is higher than what it leaves out",
        "csrc/assignment/candidates.hpp",
        "limit == p_.limit ? kInfinity<T> : limit;",
        "limit == p_.limit ? kInfinity<T> : limit + (limit > 0 ? limit : -limit);",
        (f"{ASSIGNMENT}::test_lists_of_candidates_spare_most_passes",),
    ),
    Mutation(
        "a pair at exactly the limit is made where rows are short",
        "csrc/assignment/short_search.hpp",
        "const bool is_pair = ends.free < alone;",
        "const bool is_pair = ends.free <= alone;",
        (f"{ASSIGNMENT}::test_a_limit",),
    ),
    Mutation(
        "rows of larger small squares lower a price without end",
        "csrc/assignment/tiny.hpp",
        "price - slack < price",
        "true",
        (f"{TIES}::test_the_optimum",),
    ),
    Mutation(
        "the prices of a small problem fall by the distance of the next column",
        "csrc/assignment/tiny.hpp",
        "v[scanned[k]] += reached[k] - least[0];",
        "v[scanned[k]] += reached[0] - least[0];",
        (f"{ASSIGNMENT}::test_every_family",),
    ),
    Mutation(
        "a settled column is reached again where rows are short",
        "csrc/assignment/short_search.hpp",
        "            w_[j] = -kInfinity<T>;\n",
        "",
        (f"{ASSIGNMENT}::test_every_family",),
    ),
    Mutation(
        "tight columns are taken though another row keeps them",
        "csrc/assignment/tight.hpp",
        "free_[j / kBits] &= ~(Bits{1} << (j % kBits));",
        "",
        (f"{TIES}::test_the_optimum",),
    ),
    Mutation(
        "the second least is that of one lane",
        "csrc/assignment/scans.hpp",
        "second_ = minimum(second_, maximum(least_, x));",
        "second_ = minimum(second_, x);",
        (f"{ASSIGNMENT}::test_every_family", f"{ASSIGNMENT}::test_three_by_three"),
    ),
    Mutation(
        "in a group a path's end is not the nearest",
        "csrc/assignment/lane_group.hpp",
        "end_ = nearest_;",
        "end_ = nearest_ + nearest_;",
        (f"{ASSIGNMENT_INDEPENDENCE}::test_many_tiny_problems_have_the_bits_of_each_alone",),
    ),
    Mutation(
        "in a group only the last pairs of a path change",
        "csrc/assignment/lane_group.hpp",
        "while (move_back(lane) != kStart) continue;",
        "move_back(lane);",
        (f"{ASSIGNMENT_INDEPENDENCE}::test_problems_solved_in_groups_have_the_bits_of_each_alone",),
    ),
    Mutation(
        "in a group a row takes a column that another has",
        "csrc/assignment/lane_group.hpp",
        "const IntVec<T> gets = (key >= kFree) & (least < infinity<T>());",
        "const IntVec<T> gets = least < infinity<T>();",
        (f"{ASSIGNMENT_INDEPENDENCE}::test_problems_solved_in_groups_have_the_bits_of_each_alone",),
    ),
    Mutation(
        "a group takes the costs of its first problem for all that are turned",
        "csrc/assignment/assignment.cpp",
        "oriented(given), copy + k * cells",
        "first, copy + k * cells",
        (f"{ASSIGNMENT_INDEPENDENCE}::test_problems_solved_in_groups_have_the_bits_of_each_alone",),
    ),
    Mutation(
        "few columns are taken twice before any path",
        "csrc/assignment/tiny.hpp",
        "const std::uint64_t near = joined(nearest) & free_;",
        "const std::uint64_t near = joined(nearest);",
        (f"{ASSIGNMENT}::test_every_family",),
    ),
    Mutation(
        "tall problems are not turned",
        "csrc/assignment/assignment.cpp",
        "return !options_.has_limit && given.rows > given.columns;",
        "return !options_.has_limit && given.rows > given.columns + 1;",
        ("native:test_assignment", f"{ASSIGNMENT}::test_every_family"),
    ),
    Mutation(
        "the place of a bad value is that of the transpose",
        "csrc/assignment/assignment.cpp",
        "if (flips(given)) std::swap(result.outcome.row, result.outcome.column);",
        "",
        (
            f"{ASSIGNMENT_ERRORS}::test_a_value_that_is_no_cost_is_named_with_its_index",
            "native:test_assignment",
        ),
    ),
    Mutation(
        "maximised duals keep the sign of the negated costs",
        "csrc/assignment/assignment.cpp",
        "negate(result.row_dual, given.rows);",
        "",
        (f"{ASSIGNMENT}::test_every_family_maximised",),
    ),
    Mutation(
        "a bad value is the one that was found last",
        "csrc/warping/inputs.cpp",
        "!finite && p < known && ",
        "!finite && ",
        ("native:test_inputs",),
    ),
    Mutation(
        "a worker that gets no further is asked again",
        "csrc/core/batch_run.hpp",
        "if (!solve(worker, task++)) pulse.stop();",
        "solve(worker, task++);",
        ("native:test_parallel",),
    ),
    Mutation(
        "a task of tiny problems leaves out the last",
        "csrc/core/batch_run.hpp",
        "end = std::min(begin + chunk, count);",
        "end = std::min(begin + chunk, count - (chunk > 1));",
        (f"{ASSIGNMENT_INDEPENDENCE}::test_many_tiny_problems_have_the_bits_of_each_alone",),
    ),
]

ASSIGNMENT_SPARSE = [
    Mutation(
        "of a pair's entries the last counts",
        "csrc/assignment/rows.hpp",
        "sum += cost;",
        "sum = cost;",
        (
            "native:test_assignment_sparse",
            f"{SPARSE}::test_duplicates_add_up_and_the_input_keeps_them",
        ),
    ),
    Mutation(
        "stored infinities stay entries",
        "csrc/assignment/rows.hpp",
        "forbidden_ |= sum == kInfinity;",
        "",
        (f"{SPARSE}::test_a_row_of_stored_infinities_has_no_pair", "native:test_assignment_sparse"),
    ),
    Mutation(
        "a row's way out does not bound its bid",
        "csrc/assignment/sparse_solver.hpp",
        "if (has_limit_ && limit_ < found.second) found.second = limit_;",
        "",
        (f"{SPARSE}::test_a_limit_agrees_with_the_dense_one", "native:test_assignment_sparse"),
    ),
    Mutation(
        "no row on a path is let go",
        "csrc/assignment/sparse_solver.hpp",
        "if (has_limit_ && limit_ - offset < way_out_) {",
        "if (false && limit_ - offset < way_out_) {",
        (f"{SPARSE}::test_a_limit_agrees_with_the_dense_one",),
    ),
    Mutation(
        "a sparse row pairs at the limit itself",
        "csrc/assignment/sparse_solver.hpp",
        "if (!has_limit_ || least < limit_) return false;",
        "if (!has_limit_ || least <= limit_) return false;",
        ("native:test_assignment_sparse",),
    ),
    Mutation(
        "the heap forgets the last of four children",
        "csrc/assignment/sparse_solver.hpp",
        "child < std::min(first + kArity, count)",
        "child < std::min(first + kArity - 1, count)",
        (f"{SPARSE}::test_larger_totals_are_scipys", "native:test_assignment_sparse"),
    ),
    Mutation(
        "an older place in the heap is not passed over",
        "csrc/assignment/sparse_solver.hpp",
        "if (near.distance > column(j).d) continue;",
        "",
        (f"{SPARSE}::test_larger_totals_are_scipys",),
    ),
    Mutation(
        "sparse prices stay as they were before a path",
        "csrc/assignment/sparse_solver.hpp",
        "column(j).v += column(j).d - bound_;",
        "column(j).v += 0 * (column(j).d - bound_);",
        (f"{SPARSE}::test_larger_totals_are_scipys", "native:test_assignment_sparse"),
    ),
    Mutation(
        "pairs between the parts of a largest matching may be too cheap",
        "csrc/assignment/largest.hpp",
        "limit = std::max(limit, at(u_, i) + at(v_, j) - rows_[e].cost);",
        "limit = std::max(limit, at(u_, i));",
        (f"{SPARSE}::test_as_many_pairs_as_can_be_whatever_the_costs_span",),
    ),
    Mutation(
        "prices of a square part stay above 0",
        "csrc/assignment/largest.hpp",
        "shift = std::max(shift, price);",
        "shift = std::max(shift, 0 * price);",
        (f"{SPARSE}::test_as_many_pairs_as_can_be_whatever_the_costs_span",),
    ),
    Mutation(
        "rows that stay free do not compete",
        "csrc/assignment/cover.hpp",
        "return at(level_, i) != kFar;",
        "return at(level_, i) > 0;",
        (f"{SPARSE}::test_no_matching_is_an_error_with_the_way_out",),
    ),
    Mutation(
        "blocks pass for rows",
        "python/coalign/_sparse.py",
        'if item.format not in ("csr", "csc", "coo"):',
        'if item.format not in ("csr", "csc", "coo", "bsr"):',
        (f"{SPARSE}::test_other_formats_are_told_the_remedy",),
    ),
    Mutation(
        "coordinates add up as integers",
        "python/coalign/_sparse.py",
        "item = type(item)((costs, (",
        "item = type(item)((item.data, (",
        (f"{SPARSE}::test_coordinates_are_taken_and_add_up",),
    ),
]

ASSIGNMENT_RANKING = [
    Mutation(
        "each set keeps as few rows as its parent",
        "csrc/assignment/ranking.cpp",
        "child.kept = i;",
        "child.kept = parent.kept;",
        ("native:test_assignment_ranking",),
    ),
    Mutation(
        "a set forgets what its parent gave up",
        "csrc/assignment/ranking.cpp",
        "if (i == parent.kept) child.forbidden = parent.forbidden;",
        "",
        ("native:test_assignment_ranking",),
    ),
    Mutation(
        "one set too few waits",
        "csrc/assignment/ranking.cpp",
        "if (queue.size() > wanted)",
        "if (queue.size() >= wanted)",
        ("native:test_assignment_ranking",),
    ),
    Mutation(
        "a path ends at half of what it may cost",
        "csrc/assignment/ranking.cpp",
        "!(distance < bound)",
        "!(2 * distance < bound)",
        ("native:test_assignment_ranking",),
    ),
    Mutation(
        "the dual of free columns stays as it was",
        "csrc/assignment/ranking.cpp",
        "if (taken >= 0) child.free_dual += length - taken_at;",
        "",
        ("native:test_assignment_ranking", f"{RANKING}"),
    ),
    Mutation(
        "distances do not add up on the way to the next matching",
        "csrc/assignment/ranking_kernels.cpp",
        "const Lanes x = splat(near) + maximum(",
        "const Lanes x = splat(0 * near) + maximum(",
        ("native:test_assignment_ranking",),
    ),
    Mutation(
        "maximised totals are those of the negated costs",
        "csrc/assignment/ranking.cpp",
        "sum += sign * row(i)[j];",
        "sum += row(i)[j];",
        ("native:test_assignment_ranking",),
    ),
]

ASSIGNMENT_PYTHON = [
    Mutation(
        "the gap believes prices above zero",
        "csrc/assignment/gap.cpp",
        "if (may_be_free && price > 0) price = 0;",
        "",
        (f"{GAP}::test_no_gap_is_below_the_true_distance",),
    ),
    Mutation(
        "the gap takes a rounded difference for the true one",
        "csrc/assignment/gap.cpp",
        "if (!(lost >= rest) && !std::isnan(rest)) rest = lost;",
        "rest = 0 * lost;",
        (f"{GAP}::test_a_gap_is_the_exact_bound_rounded_up",),
    ),
    Mutation(
        "the gap is rounded down",
        "csrc/assignment/gap.cpp",
        "return next(sum.value + next(sum.rest + 2 * lost_));",
        "return sum.value;",
        (f"{GAP}::test_what_a_double_cannot_hold_is_rounded_up",),
    ),
    Mutation(
        "the gap is not rounded up at its end",
        "csrc/assignment/gap.cpp",
        "sum.rest > 0 ? next(sum.value) : sum.value",
        "sum.value",
        (f"{GAP}::test_what_a_double_cannot_hold_is_rounded_up",),
    ),
    Mutation(
        "the gap trusts the total",
        "csrc/assignment/gap.cpp",
        "std::max(excess.above(), 0.0)",
        "0.0",
        (f"{GAP}::test_the_gap_covers_the_roundings_of_the_total",),
    ),
    Mutation(
        "the gap lets two rows share a column",
        "csrc/assignment/gap.cpp",
        "if (own_[line] >= 0 || is_taken_[other]) return false;",
        "if (own_[line] >= 0) return false;",
        (f"{GAP}::test_what_is_no_matching_proves_nothing",),
    ),
    Mutation(
        "the gap believes in infinite prices",
        "csrc/assignment/gap.cpp",
        "proves = false;",
        "proves = true;",
        (f"{GAP}::test_infinite_duals_prove_nothing",),
    ),
    Mutation(
        "the gap lets a row pay more than the limit",
        "csrc/assignment/gap.cpp",
        "if (is_less(pair, least)) least = pair;",
        "",
        (f"{GAP}::test_no_gap_is_below_the_true_distance",),
    ),
    Mutation(
        "the gap looks past NaN",
        "csrc/assignment/gap.cpp",
        "if (!(c > -kInfinity)) return false;",
        "",
        (f"{GAP}::test_values_that_are_no_costs_are_named",),
    ),
    Mutation(
        "the gap ignores the lengths of a padded batch",
        "python/coalign/_certificate.py",
        "whole if each is None else",
        "whole if True else",
        (f"{GAP}::test_a_padded_batch_is_bounded_within_its_lengths",),
    ),
    Mutation(
        "a result keeps lengths that its caller may write",
        "csrc/bindings/result.cpp",
        "= locked(value).release().ptr();",
        "= py::object(value).release().ptr();",
        (f"{GAP}::test_lengths_stay_with_the_result",),
    ),
    Mutation(
        "a result keeps lengths that say nothing",
        "csrc/bindings/assignment.cpp",
        "lengths == nullptr || std::all_of(lengths, lengths + count, fills))",
        "lengths == nullptr || (false && std::all_of(lengths, lengths + count, fills)))",
        (f"{GAP}::test_there_are_no_lengths_where_every_problem_fills_its_place",),
    ),
    Mutation(
        "a warm start may have other rows",
        "python/coalign/_assignment.py",
        "shapes != [rows, columns, rows] or",
        "shapes[1] != columns or",
        (f"{ASSIGNMENT_ERRORS}::test_a_warm_start_of_another_shape_is_refused",),
    ),
    Mutation(
        "linear_sum_assignment maximises only for True",
        "csrc/bindings/assignment.cpp",
        "options.maximize = flag != 0;",
        "options.maximize = given[1] == Py_True;",
        (f"{ASSIGNMENT_ERRORS}::test_maximize_is_taken_as_scipy_takes_it",),
    ),
    Mutation(
        "linear_sum_assignment reads a matrix of any number of axes",
        "csrc/bindings/assignment.cpp",
        "axes != 2)",
        "axes < 2)",
        (f"{ASSIGNMENT_ERRORS}::test_linear_sum_assignment_takes_and_refuses_what_scipy_does",),
    ),
    Mutation(
        "linear_sum_assignment is silent about a total without proof",
        "csrc/bindings/assignment.cpp",
        "if (PyErr_WarnEx(",
        "if (false && PyErr_WarnEx(",
        (f"{ASSIGNMENT_ERRORS}::test_a_total_without_proof_warns",),
    ),
    Mutation(
        "a batch of problems without a matching names the first problem",
        "python/coalign/_pipeline.py",
        'f"problem {problem}: " if is_batch',
        'f"problem {0}: " if is_batch',
        (f"{ASSIGNMENT}::test_problems_without_a_matching_are_named",),
    ),
    Mutation(
        "parts of a dense problem with too few edges are taken from its first columns",
        "csrc/assignment/assignment.cpp",
        "*out++ = row[j * costs.column_stride];",
        "*out++ = row[(out - copy) % m * costs.column_stride + 0 * j];",
        (f"{ASSIGNMENT}::test_as_many_pairs_as_can_be_against_every_matching",),
    ),
    Mutation(
        "a problem that forbids a pair passes for full",
        "csrc/assignment/assignment.cpp",
        "is_full &= sign * row[j] < inf;",
        "is_full &= sign * row[j] < inf || inf > 0;",
        (f"{ASSIGNMENT}::test_as_many_pairs_as_sparse_edges_allow",),
    ),
    Mutation(
        "of a dense problem forbidden pairs are listed",
        "csrc/assignment/rows.hpp",
        "e += std::abs(cost) < kInfinity;",
        "e += std::abs(cost) < kInfinity || j == 0;",
        ("native:test_assignment_sparse",),
    ),
    Mutation(
        "-inf is called the infinity that maximising refuses",
        "python/coalign/_costs.py",
        "{'-inf' if maximize else '+inf'} to forbid",
        "{'+inf' if maximize else '+inf'} to forbid",
        (f"{ASSIGNMENT_ERRORS}::test_a_value_that_is_no_cost_is_named_with_its_index",),
    ),
]

CUDA_ASSIGNMENT_KERNELS = [
    Mutation(
        "a path on a GPU starts again at every row",
        "cuda/assignment_solver.cuh",
        "p_.at(i, j) - memory_.price[j] - distance;",
        "p_.at(i, j) - memory_.price[j];",
        (f"{CUDA_ASSIGNMENT}::test_every_family_is_solved",),
    ),
    Mutation(
        "on a GPU a bid goes past the limit",
        "cuda/assignment_solver.cuh",
        "second = lesser(second, p_.limit);",
        "second = second;",
        (f"{CUDA_ASSIGNMENT}::test_every_shape_is_solved",),
    ),
    Mutation(
        "on a GPU no row is let go for another",
        "cuda/assignment_solver.cuh",
        "dropped = i;",
        "dropped = first;",
        (
            f"{CUDA_ASSIGNMENT}::test_every_shape_is_solved",
            "native:test_assignment_kernels",
        ),
    ),
    Mutation(
        "on a GPU -inf hides a NaN",
        "cuda/assignment_solver.cuh",
        "(mine & kHoldsNaN) != 0 ? 0u",
        "(mine & kHoldsNaN) != 0 ? 2u",
        (f"{CUDA_ASSIGNMENT}::test_what_has_no_answer_goes_to_the_status",),
    ),
    Mutation(
        "a length below 0 is taken on a GPU",
        "cuda/assignment.cu",
        "out.rows >= 0 && ",
        "",
        (f"{CUDA_ASSIGNMENT}::test_lengths_that_are_none_go_to_the_status",),
    ),
    Mutation(
        "a tall tile is copied as it lies",
        "cuda/assignment.cu",
        "out[a * pitch + b]",
        "out[b * pitch + a]",
        (f"{CUDA_ASSIGNMENT}::test_every_shape_is_solved",),
    ),
    Mutation(
        "a tall problem's total goes by the wrong side",
        "cuda/assignment.cu",
        "from.flips ? columns.row_of_col : rows.col_of_row);",
        "rows.col_of_row);",
        (f"{CUDA_ASSIGNMENT}::test_every_shape_is_solved",),
    ),
    Mutation(
        "maximising on a GPU leaves the duals negated",
        "cuda/assignment.cu",
        "problem.sign < 0 ? T(0) - dual : dual;",
        "dual;",
        (f"{CUDA_ASSIGNMENT}::test_every_family_is_solved",),
    ),
    Mutation(
        "the sets of slots of a block take no turns",
        "cuda/core/team.cuh",
        "turn_ ^= 1;",
        "",
        ("native:test_assignment_kernels",),
    ),
    Mutation(
        "on a GPU auctions are left out",
        "cuda/assignment_solver.cuh",
        "auction(increment);\n",
        "",
        ("native:test_assignment_kernels",),
    ),
    Mutation(
        "a warm start is passed over on a GPU",
        "python/coalign/_assignment.py",
        "    if costs.kind.gpu is not None:\n        raise DeviceError(",
        "    if False:\n        raise DeviceError(",
        (f"{CUDA_ASSIGNMENT}::test_what_a_gpu_does_not_do_is_said",),
    ),
    Mutation(
        "host costs that a GPU refuses raise nothing",
        "python/coalign/_assignment.py",
        "if from_gpu and np.isin(",
        "if False and np.isin(",
        (f"{CUDA_ASSIGNMENT}::test_bad_costs_from_the_host_are_named_as_on_the_cpu",),
    ),
]

CATALOGUE = [
    *ASSIGNMENT_NATIVE,
    *ASSIGNMENT_SPARSE,
    *ASSIGNMENT_RANKING,
    *ASSIGNMENT_PYTHON,
    *WARPING_KERNELS,
    *WARPING_DRIVERS,
    *WARPING_WINDOWS,
    *MATH,
    *SHARED_NATIVE,
    *SHARED_PYTHON,
    *CUDA_KERNELS,
    *CUDA_ASSIGNMENT_KERNELS,
    *CUDA_EMULATION,
    *CUDA_FACE,
    *AROUND,
]
