// What two points are apart.
#pragma once

namespace coalign::transport {

// Squared and plain distances; 1 - x.y / (|x| |y|), or 1 where a point is 0; -x.y.
enum class PointMetric { sqeuclidean, euclidean, cosine, dot };

}  // namespace coalign::transport
