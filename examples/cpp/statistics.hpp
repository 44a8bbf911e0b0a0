// The out-of-distribution checks: docs/reference/statistics.md and docs/reference/network-features.md.

#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "preprocess.hpp"

namespace edge {

namespace statistics {

// Grey levels, or differences of channels, of a small image.
struct Plane {
    int width, height;
    std::vector<std::int64_t> values;

    std::int64_t at(int x, int y) const { return values[static_cast<std::size_t>(y * width + x)]; }
    double count() const { return static_cast<double>(values.size()); }
    double mean() const {
        std::int64_t sum = 0;
        for (const std::int64_t value : values) sum += value;
        return static_cast<double>(sum) / count();
    }
};

inline double mean_square(const std::vector<std::int64_t>& values) {
    std::int64_t sum = 0;
    for (const std::int64_t value : values) sum += value * value;
    return values.empty() ? 0.0 : static_cast<double>(sum) / static_cast<double>(values.size());
}

inline double variance(const Plane& plane) {
    const double mean = plane.mean();
    return std::max(mean_square(plane.values) - mean * mean, 0.0);
}

inline Array block_means(const Array& in) {
    const int deep = in.type == Type::uint16 ? 256 : 1;
    if (std::max(in.width, in.height) <= 64) {
        return steps::filled(in.width, in.height, in, Type::uint8,
                             [&](int x, int y, int c) { return static_cast<float>(in.level(x, y, c) / deep); });
    }
    const int across = std::min(in.width, 64), down = std::min(in.height, 64);
    return steps::filled(across, down, in, Type::uint8, [&](int x, int y, int c) {
        const int left = x * in.width / across, right = (x + 1) * in.width / across;
        const int top = y * in.height / down, bottom = (y + 1) * in.height / down;
        std::int64_t total = 0;
        for (int v = top; v < bottom; ++v)
            for (int u = left; u < right; ++u) total += in.level(u, v, c);
        const std::int64_t count = static_cast<std::int64_t>(right - left) * (bottom - top) * deep;
        return static_cast<float>(std::min<std::int64_t>((2 * total + count) / (2 * count), 255));
    });
}

inline Array middle(const Array& in) {
    if (std::max(in.width, in.height) <= 64) return block_means(in);
    const int deep = in.type == Type::uint16 ? 256 : 1;
    const int left = std::max(0, (in.width - 64) / 2), top = std::max(0, (in.height - 64) / 2);
    return steps::filled(std::min(64, in.width), std::min(64, in.height), in, Type::uint8, [&](int x, int y, int c) {
        return static_cast<float>(in.level(left + x, top + y, c) / deep);
    });
}

inline Plane grey(const Image& image) {
    const Array found = steps::colour(image, "grey").pixels;
    Plane plane{found.width, found.height, {}};
    for (const float value : found.values) plane.values.push_back(static_cast<std::int64_t>(value));
    return plane;
}

inline Plane less_green(const Image& rgb, int channel) {
    const Array& in = rgb.pixels;
    Plane plane{in.width, in.height, {}};
    for (int y = 0; y < in.height; ++y)
        for (int x = 0; x < in.width; ++x) plane.values.push_back(in.level(x, y, channel) - in.level(x, y, 1));
    return plane;
}

struct Energy {
    double across, down;
    double both() const { return across + down; }
};

inline Energy energy(const Plane& plane, int lag) {
    std::vector<std::int64_t> across, down;
    for (int y = 0; y < plane.height; ++y) {
        for (int x = 0; x < plane.width; ++x) {
            if (x + lag < plane.width) across.push_back(plane.at(x + lag, y) - plane.at(x, y));
            if (y + lag < plane.height) down.push_back(plane.at(x, y + lag) - plane.at(x, y));
        }
    }
    return {mean_square(across), mean_square(down)};
}

inline std::vector<std::int64_t> laplacian(const Plane& plane, int lag) {
    std::vector<std::int64_t> found;
    for (int y = lag; y + lag < plane.height; ++y) {
        for (int x = lag; x + lag < plane.width; ++x) {
            found.push_back(4 * plane.at(x, y) - plane.at(x - lag, y) - plane.at(x + lag, y) - plane.at(x, y - lag) -
                            plane.at(x, y + lag));
        }
    }
    return found;
}

inline double balance(const std::vector<std::int64_t>& blobs) {
    std::int64_t every = 0, bright = 0;
    for (const std::int64_t blob : blobs) {
        every += blob * blob;
        if (blob > 0) bright += blob * blob;
    }
    const double all = static_cast<double>(every);
    return blobs.empty() ? 0.0
                         : (2 * static_cast<double>(bright) - all) / (all + 16 * static_cast<double>(blobs.size()));
}

} // namespace statistics

// The 26 numbers of image-statistics/1.
inline std::vector<double> image_statistics(const Image& image) {
    using namespace statistics;
    const Image rgb = steps::colour({block_means(image.pixels), image.order}, "rgb");
    const Plane levels = grey(rgb), centre = grey({middle(image.pixels), image.order});
    const Plane red = less_green(rgb, 0), blue = less_green(rgb, 2);
    const double mean = levels.mean(), count = levels.count();
    std::array<double, 256> below{};
    double colourless = 0;
    for (std::size_t i = 0; i < levels.values.size(); ++i) {
        below[static_cast<std::size_t>(levels.values[i])] += 1;
        colourless += std::abs(red.values[i]) + std::abs(blue.values[i]) <= 6 && levels.values[i] <= 205;
    }
    for (std::size_t level = 1; level < 256; ++level) below[level] += below[level - 1];
    const Energy by_1 = energy(levels, 1), by_2 = energy(levels, 2), by_4 = energy(levels, 4);
    const double spread = 4 * variance(levels) + 16;
    std::vector<double> found{red.mean() / 255, red.mean() / (271.0 - mean), blue.mean() / 255,
                              std::sqrt(variance(red)) / 255, std::sqrt(variance(blue)) / 255, colourless / count};
    for (const double share : {0.02, 0.25, 0.5, 0.75, 0.98}) {
        const auto level = std::lower_bound(below.begin(), below.end(), share * count) - below.begin();
        found.push_back(static_cast<double>(level) / 255);
    }
    found.push_back(std::sqrt(below[8] / count));
    found.push_back(std::sqrt(by_1.both()) / 255);
    found.push_back(std::sqrt(by_2.both()) / 255);
    for (const Energy& each : {by_1, by_2, by_4}) found.push_back(each.both() / spread);
    found.push_back((by_1.across - by_1.down) / (by_1.both() + 16));
    for (const int lag : {2, 4, 16}) found.push_back(balance(laplacian(levels, lag)));
    const int upper_rows = std::max(1, levels.height / 4);
    const Plane upper{levels.width, upper_rows, {levels.values.begin(), levels.values.begin() + levels.width * upper_rows}};
    found.push_back((upper.mean() - mean) / 255);
    found.push_back(centre.mean() / 255);
    found.push_back(std::sqrt(mean_square(laplacian(centre, 1))) / 1020);
    found.push_back(energy(centre, 4).both() / (4 * variance(centre) + 16));
    double same = 0, pairs = 0;
    for (int y = 0; y < centre.height; ++y) {
        for (int x = 0; x < centre.width; ++x) {
            if (x + 1 < centre.width) pairs += 1, same += centre.at(x, y) == centre.at(x + 1, y);
            if (y + 1 < centre.height) pairs += 1, same += centre.at(x, y) == centre.at(x, y + 1);
        }
    }
    found.push_back(std::sqrt(same / std::max(pairs, 1.0)));
    return found;
}

// The share of the limit by image statistics; above 1 the image is unfamiliar. `whole` is the image, `shown` what the
// model sees: the same image, or the square around a region.
inline double image_share(const Image& whole, const Image& shown, const Json& familiarity) {
    const bool of_whole = familiarity.contains("whole");
    const std::vector<double> found = image_statistics(of_whole ? whole : shown);
    const std::vector<double> mean = familiarity.at("mean"), whitening = familiarity.at("whitening");
    double squares = 0;
    std::size_t next = 0;
    for (std::size_t row = 0; row < found.size(); ++row) {
        double sum = 0;
        for (std::size_t column = 0; column <= row; ++column) sum += whitening[next++] * (found[column] - mean[column]);
        squares += sum * sum;
    }
    double share = std::sqrt(squares) / familiarity.at("limit").get<double>();
    if (of_whole) {
        const double least = familiarity.at("whole").at("least_side_px");
        const int side = std::min(whole.pixels.width, whole.pixels.height);
        if (side < least) share = std::max(share, least / side);
    }
    return share;
}

// A little-endian IEEE 754 binary16.
inline double half(std::uint16_t bits) {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const double size = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    return bits >> 15 ? -size : size;
}

inline std::string base64_decoded(const std::string& text) {
    static const std::string letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string bytes;
    std::uint32_t bits = 0;
    int count = 0;
    for (const char c : text) {
        const std::size_t six = letters.find(c);
        if (six == std::string::npos) break; // the padding
        bits = bits << 6 | static_cast<std::uint32_t>(six);
        if ((count += 6) >= 8) bytes += static_cast<char>(bits >> (count -= 8) & 0xFF);
    }
    return bytes;
}

// The share of dark pixels among dark and bright ones, on about 32 rows and columns of an image as read.
inline double dark_share(const Array& pixels) {
    const int down = std::max(1, pixels.height / 32), across = std::max(1, pixels.width / 32);
    const int unit = pixels.type == Type::uint16 ? 256 : 1;
    int dark = 0, bright = 0;
    for (int y = 0; y < pixels.height; y += down) {
        for (int x = 0; x < pixels.width; x += across) {
            int largest = 0;
            for (int c = 0; c < pixels.channels; ++c) largest = std::max(largest, pixels.level(x, y, c) / unit);
            dark += largest <= 8;
            bright += largest >= 247;
        }
    }
    return static_cast<double>(dark) / std::max(dark + bright, 1);
}

// How far an image as read is beyond the limits `image` of the check; 0 if it is within them.
inline double image_excess(const Array& pixels, const Json& familiarity) {
    if (!familiarity.contains("image")) return 0;
    const Json& limits = familiarity.at("image");
    double excess = 0;
    const double least = std::min(pixels.width, pixels.height), most = std::max(pixels.width, pixels.height);
    if (limits.contains("least_side_px")) excess = std::max(excess, limits.at("least_side_px").get<double>() / least);
    if (limits.contains("most_side_px")) excess = std::max(excess, most / limits.at("most_side_px").get<double>());
    if (limits.contains("least_dark")) {
        excess = std::max(excess, limits.at("least_dark").get<double>() / std::max(dark_share(pixels), 1e-6));
    }
    return excess > 1 ? excess : 0;
}

// A matrix of the spec with rows of n numbers: float16 in base64.
inline std::vector<std::vector<double>> matrix(const std::string& text, std::size_t n) {
    const std::string packed = base64_decoded(text);
    std::vector<std::vector<double>> rows;
    for (std::size_t place = 0; place + 2 * n <= packed.size();) {
        rows.emplace_back();
        for (std::size_t i = 0; i < n; ++i, place += 2) {
            const auto low = static_cast<unsigned char>(packed[place]), high = static_cast<unsigned char>(packed[place + 1]);
            rows.back().push_back(half(static_cast<std::uint16_t>(low | high << 8)));
        }
    }
    return rows;
}

inline double product(const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
}

// The share of the limit by network features, from the output edge_feature_moments of a model file. The larger of it and
// image_excess is the share of the image.
inline double network_share(const std::vector<float>& moments, const Json& familiarity) {
    const std::vector<double> mean = familiarity.at("mean"), scale = familiarity.at("scale");
    const std::vector<double> deviations = familiarity.at("deviations");
    const std::size_t channels = moments.size() / 2;
    std::vector<double> a;
    for (std::size_t i = 0; i < moments.size(); ++i) {
        const double first = moments[i % channels], square = moments[channels + i % channels];
        const double feature = i < channels ? first : std::sqrt(std::max(square - first * first, 0.0));
        a.push_back((feature - mean[i]) / scale[i]);
    }
    const std::vector<std::vector<double>> components = matrix(familiarity.at("components"), a.size());
    std::vector<double> rest = a;
    double squares = 0;
    for (std::size_t k = 0; k < deviations.size(); ++k) {
        const double z = product(components[k], a);
        for (std::size_t i = 0; i < a.size(); ++i) rest[i] -= components[k][i] * z;
        squares += (z / deviations[k]) * (z / deviations[k]);
    }
    const double residual = familiarity.at("residual"), limit = familiarity.at("limit");
    double share = std::sqrt(squares + product(rest, rest) / (residual * residual)) / limit;
    if (familiarity.contains("discriminants")) {
        const Json& known = familiarity.at("discriminants");
        const std::vector<double> offsets = known.at("offsets");
        const std::vector<std::vector<double>> weights = matrix(known.at("weights"), a.size());
        for (std::size_t m = 0; m < offsets.size(); ++m) share = std::max(share, product(weights[m], a) + offsets[m]);
    }
    return share;
}

} // namespace edge
