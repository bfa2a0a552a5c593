#include "transport/partial.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "bindings/batch.hpp"
#include "bindings/bindings.hpp"
#include "bindings/call.hpp"
#include "bindings/plain.hpp"
#include "bindings/result.hpp"
#include "bindings/transport.hpp"

namespace coalign::bindings {
namespace {

using namespace coalign::transport;

constexpr Schema kPartial =
    fields_of("PartialFields", "The fields of `coalign.PartialTransport`.",
              {"mass", Per::option, Element::float64, "How much was to be moved."}, kEpsilonField);

// partial_transport(cost, a, b, mass, epsilon, tol, max_iterations, row_lengths, col_lengths, threads, device) returns
// the result. One more argument says that these are prepared and checked, and holds what the result keeps of them as
// they were given: (cost, a, b, mass, epsilon, tol, row_lengths, col_lengths). For them it also returns what is wrong.
struct PartialArguments {
    static constexpr const char *kName = "partial_transport", *kGeneral = "coalign._partial";
    static constexpr Py_ssize_t kCount = 11;

    bool read(PyObject* const* given, bool prepared) {
        std::optional<double> tolerance;
        if (!costs.read(given[0], given[7], given[8]) || !a.read(given[1], rows_of(costs)) ||
            !b.read(given[2], columns_of(costs)) || !mass.read(given[3], rows_of(costs)) ||
            !epsilon.read(given[4], rows_of(costs)) || !read_number(given[5], tolerance) || !tolerance ||
            !read_integer(given[6], options.most_iterations) || !threads.read(given[9]) || !read_cpu(given[10]))
            return false;
        options.tolerance = *tolerance;
        const int own[] = {0, 1, 2, 3, 4, 5, 7, 8};
        for (std::size_t k = 0; k < kept.size(); ++k)
            kept[k] = prepared ? PyTuple_GetItem(given[kCount], static_cast<Py_ssize_t>(k)) : given[own[k]];
        return options.tolerance >= 0 && options.tolerance < kInfinity && options.most_iterations >= 1;
    }
    bool is_float32() const { return costs.is_float32(); }

    template <class T>
    PyObject* run(const Forced& forced, bool prepared) const {
        const Ragged& shapes = costs.batch();
        std::vector<double> masses;
        if (!take_masses<T>(masses) && !prepared) return nullptr;
        Result made(kPartial, Counts::of(costs.form(), shapes),
                    sizeof(T) == sizeof(float) ? Element::float32 : Element::float64);
        Places<T> places(made, rows_of(costs), columns_of(costs));
        const Batch batch{shapes, a.vectors(), b.vectors(), {}, {}, epsilon.data(), epsilon.stride(), options};
        const double per_thread = forced.work_per_thread.value_or(kTransportWorkPerThread);
        const auto iterations = static_cast<double>(options.most_iterations);
        const int most = threads.for_work(shapes.elements() * std::min(iterations, 100.0), per_thread);
        const Run run = run_call(shapes.elements() * iterations <= kSmallWork, [&](Pulse& pulse) {
            return solve_partial<T>(forced.isa, batch, masses.data(), most, per_thread, pulse, places.results);
        });
        forced.note(name(forced.isa), run.workers);
        // In the places of epsilon and the penalties of a result of `sinkhorn`.
        keep(made, kept,
             {{kEpsilon, mass.number()}, {kUnbalanced, epsilon.number()}, {kTol, py::float_(options.tolerance)}});
        return returned(made, places.results, wrong_costs(places.results), prepared, kName);
    }

   private:
    // The mass of each problem, of which there may be a little more than weights. False where there is much more, or
    // where weights are wrong.
    template <class T>
    bool take_masses(std::vector<double>& out) const {
        constexpr double most_above = sizeof(T) == sizeof(float) ? 1e-4 : 1e-6;
        const Axis rows = rows_of(costs), columns = columns_of(costs);
        bool is_right = true;
        for (std::int64_t p = 0; p < rows.problems; ++p) {
            std::int64_t row = -1, column = -1;
            const double there = std::min(mass_of(a.vectors().of<T>(p), rows.length(p), row),
                                          mass_of(b.vectors().of<T>(p), columns.length(p), column));
            const double wanted = mass.data()[p * mass.stride()];
            is_right &= row < 0 && column < 0 && there > 0 && there < kInfinity && wanted <= there * (1 + most_above);
            out.push_back(std::min(wanted, there));
        }
        return is_right;
    }

    PlainBatch costs{{Readable::Items::matrices_by_rows, 1, kMostPoints}};
    PlainVectors a, b;
    PlainEpsilon mass, epsilon;
    Options options;
    ThreadLimit threads;
    Kept kept{};
};

}  // namespace

void bind_partial(py::module_& module) {
    make_result_class(module, kPartial);
    add_function<front_door<PartialArguments>>(
        module, PartialArguments::kName,
        "The public function's arguments, in order; one more says that they are prepared.");
}

}  // namespace coalign::bindings
