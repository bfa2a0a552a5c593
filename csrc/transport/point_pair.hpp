// Two clouds as the kernels read them: moved to their common centre, scaled by a power of 2, and in tiles. All of it is
// exact, or rounded in float64: norms of 1e4 do not take the digits of distances of 1e-3.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "core/buffer.hpp"
#include "core/ragged.hpp"
#include "transport/points.hpp"
#include "transport/points_kernels.hpp"

namespace coalign::transport {

// One cloud in float64 and in float32, and the squares of its points' norms.
class TiledCloud {
   public:
    template <class T>
    void take(const MatrixView<T>& points, const double* centre, double scale, bool is_normalised) {
        count_ = points.rows;
        dimension_ = points.columns;
        const std::int64_t room = tiles_of(count_) * kTile * dimension_;
        double *const wide = wide_.reserve(room), *const norms = norms_.reserve(tiles_of(count_) * kTile);
        double* const scales = scales_.reserve(count_);
        std::fill_n(wide, room, 0.0);
        std::fill_n(norms, tiles_of(count_) * kTile, 0.0);
        most_ = 0;
        for (std::int64_t i = 0; i < count_; ++i) {
            const T* const point = points.data + i * points.row_stride;
            double* const out = wide + i / kTile * dimension_ * kTile + i % kTile;
            double own = scale, sum = 0;
            if (is_normalised) {
                double most = 0;
                for (std::int64_t k = 0; k < dimension_; ++k)
                    most = std::max(most, std::abs(double{point[k * points.column_stride]}));
                for (std::int64_t k = 0; k < dimension_ && most > 0; ++k) {
                    const double value = double{point[k * points.column_stride]} / most;
                    sum += value * value;
                }
                own = most > 0 ? 1 / most / std::sqrt(sum) : 0;
                if (own > std::numeric_limits<double>::max()) own = 0;
                sum = 0;
            }
            for (std::int64_t k = 0; k < dimension_; ++k) {
                const double value = (double{point[k * points.column_stride]} - centre[k]) * own;
                out[k * kTile] = value;
                sum += value * value;
            }
            norms[i] = sum;
            scales[i] = own;
            most_ = std::max(most_, sum);
        }
        float* const narrow = narrow_.reserve(room);
        std::transform(wide, wide + room, narrow, [](double value) { return static_cast<float>(value); });
    }

    template <class K>
    Cloud<K> cloud() const {
        if constexpr (std::is_same_v<K, float>) return {narrow_.data(), count_, dimension_};
        else return {wide_.data(), count_, dimension_};
    }
    const double* norms() const { return norms_.data(); }
    // What the point was multiplied with; 0 for a point of no direction that was to be normalised.
    const double* scales() const { return scales_.data(); }
    double most() const { return most_; }
    double at(std::int64_t i, std::int64_t k) const {
        return wide_.data()[(i / kTile * dimension_ + k) * kTile + i % kTile];
    }

   private:
    Buffer<double> wide_, norms_, scales_;
    Buffer<float> narrow_;
    std::int64_t count_ = 0, dimension_ = 0;
    double most_ = 0;
};

class PointPair {
   public:
    template <class T>
    void take(const MatrixView<T>& x, const MatrixView<T>& y, PointMetric metric) {
        metric_ = metric;
        const bool is_distance = metric == PointMetric::sqeuclidean || metric == PointMetric::euclidean;
        const std::int64_t dimension = x.columns;
        double* const centre = centre_.reserve(dimension);
        std::fill_n(centre, dimension, 0.0);
        const double share = 1 / static_cast<double>(x.rows + y.rows);
        const auto each = [&](auto&& what) {
            for (const auto& points : {x, y})
                for (std::int64_t i = 0; i < points.rows; ++i)
                    for (std::int64_t k = 0; k < dimension; ++k)
                        what(k, double{points.data[i * points.row_stride + k * points.column_stride]});
        };
        if (is_distance) each([&](std::int64_t k, double value) { centre[k] += value * share; });
        double most = 0;
        each([&](std::int64_t k, double value) { most = std::max(most, std::abs(value - centre[k])); });
        int exponent = 0;
        if (metric != PointMetric::cosine && most > 0) std::frexp(most, &exponent);
        unit_ = std::ldexp(1, metric == PointMetric::euclidean ? exponent : 2 * exponent);
        const double scale = std::ldexp(1, -exponent);
        x_.take(x, centre, scale, metric == PointMetric::cosine);
        y_.take(y, centre, scale, metric == PointMetric::cosine);
    }

    PointMetric metric() const { return metric_; }
    const TiledCloud& x() const { return x_; }
    const TiledCloud& y() const { return y_; }
    // A cost of 1 of the scaled points.
    double unit() const { return unit_; }

    // No cost of the scaled points is larger.
    double most_cost() const {
        const double u = std::sqrt(x_.most()), v = std::sqrt(y_.most());
        switch (metric_) {
            case PointMetric::sqeuclidean:
                return (u + v) * (u + v);
            case PointMetric::euclidean:
                return u + v;
            case PointMetric::cosine:
                return 2;
            default:
                return u * v;
        }
    }

    // How costs are summed in K at so many scaled units for 1. Of squared distances in few dimensions, differences are
    // as quick as products; elsewhere products are taken where their cancellation does not show.
    template <class K>
    Form form(double over_epsilon) const {
        if (metric_ == PointMetric::euclidean) return Form::roots;
        if (metric_ != PointMetric::sqeuclidean) return Form::products;
        constexpr double rounding = double{std::numeric_limits<K>::epsilon()};
        constexpr double enough = std::is_same_v<K, float> ? 1e-3 : 1e-9;
        const bool cancels = rounding * (x_.most() + y_.most()) * over_epsilon > enough;
        return x_.cloud<K>().dimension <= 8 || cancels ? Form::squares : Form::products;
    }

    // A cost in the unit of the caller.
    double cost(std::int64_t i, std::int64_t j) const {
        double sum = 0;
        const bool is_product = metric_ == PointMetric::cosine || metric_ == PointMetric::dot;
        for (std::int64_t k = 0; k < x_.cloud<double>().dimension; ++k) {
            const double a = x_.at(i, k), b = y_.at(j, k);
            sum += is_product ? a * b : (a - b) * (a - b);
        }
        if (metric_ == PointMetric::cosine) return 1 - sum;
        if (metric_ == PointMetric::dot) return -sum * unit_;
        return (metric_ == PointMetric::euclidean ? std::sqrt(sum) : sum) * unit_;
    }

   private:
    PointMetric metric_ = PointMetric::sqeuclidean;
    TiledCloud x_, y_;
    Buffer<double> centre_;
    double unit_ = 1;
};

// A pair as the solver takes it in the place of a matrix of costs.
struct PointCosts {
    std::int64_t rows, columns;
    const PointPair* pair;
};

// -C / epsilon is slope * what is summed - norm_slope * (the squares of both norms) - constant.
template <class K>
struct PointExponents {
    PointExponents() = default;
    PointExponents(const PointPair& pair, double epsilon) {
        const double over = pair.unit() / epsilon;
        form = pair.form<K>(over);
        const bool is_square = pair.metric() == PointMetric::sqeuclidean && form == Form::products;
        slope = K(is_square ? 2 * over : form == Form::products ? over : -over);
        norm_slope = is_square ? over : 0;
        constant = pair.metric() == PointMetric::cosine ? over : 0;
    }
    Form form = Form::squares;
    K slope = 0;
    double norm_slope = 0, constant = 0;
};

}  // namespace coalign::transport
