// The preprocessing steps of a spec, as docs/reference/preprocessing.md defines them, without OpenCV.
//
// Not here: `resize` with `area`, and with `linear` to uint8, which call OpenCV. Compile with -ffp-contract=off: a fused
// multiplication and addition rounds once where the definition rounds twice.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace edge {

using Json = nlohmann::json;

enum class Type { uint8, uint16, float32 };

// Height x width x channels, rows from the top. A float holds every value of 8 and 16 bits exactly.
struct Array {
    int width = 0, height = 0, channels = 1;
    Type type = Type::uint8;
    std::vector<float> values;

    Array(int w, int h, int c, Type t)
        : width(w), height(h), channels(c), type(t),
          values(static_cast<std::size_t>(w) * static_cast<std::size_t>(h) * static_cast<std::size_t>(c)) {}

    float& at(int x, int y, int c) { return values[index(x, y, c)]; }
    float at(int x, int y, int c) const { return values[index(x, y, c)]; }
    int level(int x, int y, int c) const { return static_cast<int>(at(x, y, c)); }

private:
    std::size_t index(int x, int y, int c) const {
        return (static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)) *
                   static_cast<std::size_t>(channels) + static_cast<std::size_t>(c);
    }
};

// An image with the order of its channels: "grey", "rgb" or "bgr".
struct Image {
    Array pixels;
    std::string order;
};

struct Refused : std::runtime_error {
    using std::runtime_error::runtime_error; // the stable code, for example image_blank
};

namespace steps {

inline constexpr std::int64_t most_pixels = 64'000'000;

inline float saturated(double value) { return static_cast<float>(std::clamp(std::nearbyint(value), 0.0, 255.0)); }

// Calls `value` for every place of an array of the size of `like`.
template <typename Value> Array filled(int width, int height, const Array& like, Type type, Value value) {
    Array result(width, height, like.channels, type);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
            for (int c = 0; c < like.channels; ++c) result.at(x, y, c) = value(x, y, c);
    return result;
}

inline Image colour(const Image& image, const std::string& order) {
    if (image.order == order) return image;
    const Array& in = image.pixels;
    const int channels = order == "grey" ? 1 : 3, red = image.order == "rgb" ? 0 : 2;
    Array out(in.width, in.height, channels, in.type);
    for (int y = 0; y < in.height; ++y) {
        for (int x = 0; x < in.width; ++x) {
            for (int c = 0; c < channels; ++c) {
                if (image.order == "grey") out.at(x, y, c) = in.at(x, y, 0);
                else if (order != "grey") out.at(x, y, c) = in.at(x, y, 2 - c);
                else {
                    const int r = in.level(x, y, red), g = in.level(x, y, 1), b = in.level(x, y, 2 - red);
                    out.at(x, y, c) = static_cast<float>((9798 * r + 19235 * g + 3735 * b + 16384) >> 15);
                }
            }
        }
    }
    return {std::move(out), order};
}

inline Array window(const Array& in, double low, double high) {
    return filled(in.width, in.height, in, Type::uint8,
                  [&](int x, int y, int c) { return saturated((in.at(x, y, c) - low) * (255.0 / (high - low))); });
}

inline Array nearest(const Array& in, int width, int height, Type type) {
    const auto places = [](int size, int result) {
        std::vector<int> found;
        const double step = static_cast<double>(size) / result;
        double place = step / 2;
        for (int i = 0; i < result; ++i, place += step) found.push_back(static_cast<int>(place));
        return found;
    };
    const std::vector<int> columns = places(in.width, width), rows = places(in.height, height);
    return filled(width, height, in, type, [&](int x, int y, int c) {
        return in.at(columns[static_cast<std::size_t>(x)], rows[static_cast<std::size_t>(y)], c);
    });
}

template <typename Share> struct Pair {
    int first, second;
    Share share; // of the second one
};

inline Array linear_float32(const Array& in, int width, int height) {
    const auto taps = [](int size, int result) {
        std::vector<Pair<float>> found;
        const float scale = static_cast<float>(size) / static_cast<float>(result);
        for (int i = 0; i < result; ++i) {
            const float place = (static_cast<float>(i) + 0.5F) * scale - 0.5F, below = std::floor(place);
            found.push_back({static_cast<int>(std::max(below, 0.0F)),
                             std::min(static_cast<int>(std::ceil(place)), size - 1), place - below});
        }
        return found;
    };
    const auto between = [](float first, float second, float share) { return first + (second - first) * share; };
    const auto columns = taps(in.width, width), rows = taps(in.height, height);
    return filled(width, height, in, Type::float32, [&](int x, int y, int c) {
        const auto &column = columns[static_cast<std::size_t>(x)], &row = rows[static_cast<std::size_t>(y)];
        const auto across = [&](int line) {
            return between(in.at(column.first, line, c), in.at(column.second, line, c), column.share);
        };
        return between(across(row.first), across(row.second), row.share);
    });
}

inline Array linear_exact(const Array& in, int width, int height) {
    const auto taps = [](int size, int result) {
        std::vector<Pair<int>> found;
        for (int i = 0; i < result; ++i) {
            const double place = (i + 0.5) * (static_cast<double>(size) / result) - 0.5, below = std::floor(place);
            const bool beyond = below < 0 || below >= size - 1;
            const int first = std::clamp(static_cast<int>(below), 0, size - 1);
            const int share = beyond ? 0 : static_cast<int>(std::nearbyint((place - below) * 256));
            found.push_back({first, std::min(first + 1, size - 1), share});
        }
        return found;
    };
    const auto columns = taps(in.width, width), rows = taps(in.height, height);
    return filled(width, height, in, Type::uint8, [&](int x, int y, int c) {
        const auto &column = columns[static_cast<std::size_t>(x)], &row = rows[static_cast<std::size_t>(y)];
        const auto across = [&](int line) {
            return in.level(column.first, line, c) * (256 - column.share) + in.level(column.second, line, c) * column.share;
        };
        return static_cast<float>((across(row.first) * (256 - row.share) + across(row.second) * row.share + 32768) >> 16);
    });
}

inline Array bicubic_float32(const Array& in, int width, int height) {
    struct Four {
        int place[4];
        float share[4];
    };
    const auto near = [](int part) {
        const double x = part / 1024.0;
        return static_cast<float>((1.5 * x - 2.5) * x * x + 1);
    };
    const auto far = [](int part) {
        const double y = part / 1024.0 + 1;
        return static_cast<float>(((-0.5 * y + 2.5) * y - 4) * y + 2);
    };
    const auto taps = [&](int size, int result) {
        std::vector<Four> found;
        const float scale = static_cast<float>(size) / static_cast<float>(result);
        for (int i = 0; i < result; ++i) {
            const float place = (static_cast<float>(i) + 0.5F) * scale - 0.5F, below = std::floor(place);
            const int part = static_cast<int>(std::nearbyint((place - below) * 1024.0F));
            Four four{{}, {far(part), near(part), near(1024 - part), far(1024 - part)}};
            for (int k = 0; k < 4; ++k) {
                const int wanted = static_cast<int>(below) + k - 1;
                four.place[k] = std::clamp(wanted, 0, size - 1);
                if (four.place[k] != wanted) four.share[k] = 0.0F;
            }
            const float one = 1.0F / (four.share[0] + four.share[1] + four.share[2] + four.share[3]);
            for (float& share : four.share) share *= one;
            found.push_back(four);
        }
        return found;
    };
    const auto columns = taps(in.width, width), rows = taps(in.height, height);
    return filled(width, height, in, Type::float32, [&](int x, int y, int c) {
        const Four &column = columns[static_cast<std::size_t>(x)], &row = rows[static_cast<std::size_t>(y)];
        float across = 0.0F;
        for (int k = 0; k < 4; ++k) {
            float down = in.at(column.place[k], row.place[0], c) * row.share[0];
            for (int l = 1; l < 4; ++l) down += in.at(column.place[k], row.place[l], c) * row.share[l];
            across = k == 0 ? down * column.share[0] : across + down * column.share[k];
        }
        return across;
    });
}

inline Array antialias(const Array& in, int width, int height, const std::function<double(double)>& curve, double support) {
    struct Taps {
        int first;
        std::vector<std::int32_t> shares;
    };
    const auto taps = [&](int size, int result) {
        std::vector<Taps> found;
        const double scale = static_cast<double>(size) / result, wide = std::max(scale, 1.0), shrunk = 1.0 / wide;
        for (int i = 0; i < result; ++i) {
            const double centre = (i + 0.5) * scale;
            const int first = std::max(static_cast<int>(centre - support * wide + 0.5), 0);
            const int last = std::min(static_cast<int>(centre + support * wide + 0.5), size);
            std::vector<double> weights;
            double total = 0;
            for (int place = first; place < last; ++place) {
                weights.push_back(curve(std::abs((place - centre + 0.5) * shrunk)));
                total += weights.back();
            }
            Taps taken{first, {}};
            for (const double weight : weights) {
                const double whole = weight / total * 4194304.0; // 2^22
                taken.shares.push_back(static_cast<std::int32_t>(whole + (whole < 0 ? -0.5 : 0.5)));
            }
            found.push_back(std::move(taken));
        }
        return found;
    };
    const auto sum = [](const Taps& of, const std::function<int(int)>& value) {
        std::int64_t total = 1 << 21;
        for (std::size_t k = 0; k < of.shares.size(); ++k) {
            total += static_cast<std::int64_t>(of.shares[k]) * value(of.first + static_cast<int>(k));
        }
        return static_cast<float>(std::clamp<std::int64_t>(total >> 22, 0, 255));
    };
    const auto columns = taps(in.width, width), rows = taps(in.height, height);
    const Array narrow = filled(width, in.height, in, Type::uint8, [&](int x, int y, int c) {
        return sum(columns[static_cast<std::size_t>(x)], [&](int place) { return in.level(place, y, c); });
    });
    return filled(width, height, in, Type::uint8, [&](int x, int y, int c) {
        return sum(rows[static_cast<std::size_t>(y)], [&](int place) { return narrow.level(x, place, c); });
    });
}

inline Array resized(const Array& in, int width, int height, const std::string& interpolation, const std::string& result) {
    const Type type = result == "uint8" ? Type::uint8 : Type::float32;
    if (in.width == width && in.height == height) {
        Array same = in;
        same.type = type;
        return same;
    }
    if (interpolation == "nearest") return nearest(in, width, height, type);
    if (interpolation == "linear_exact") return linear_exact(in, width, height);
    if (interpolation == "linear" && type == Type::float32) return linear_float32(in, width, height);
    if (interpolation == "linear_antialias") {
        return antialias(in, width, height, [](double x) { return x < 1.0 ? 1.0 - x : 0.0; }, 1.0);
    }
    if (interpolation == "bicubic_antialias") {
        const auto curve = [](double x) {
            if (x < 1.0) return (1.5 * x - 2.5) * x * x + 1.0;
            return x < 2.0 ? (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5 : 0.0;
        };
        return antialias(in, width, height, curve, 2.0);
    }
    if (interpolation == "bicubic") {
        Array exact = bicubic_float32(in, width, height);
        if (type == Type::float32) return exact;
        for (float& value : exact.values) value = saturated(value);
        exact.type = type;
        return exact;
    }
    throw std::invalid_argument("resize " + interpolation + " to " + result + " needs OpenCV");
}

// A frame of `value` with `in` at (left, top); negative places cut it.
inline Array placed(const Array& in, int width, int height, int left, int top, float value) {
    return filled(width, height, in, in.type, [&](int x, int y, int c) {
        const bool inside = x >= left && y >= top && x < left + in.width && y < top + in.height;
        return inside ? in.at(x - left, y - top, c) : value;
    });
}

inline Array letterbox(const Array& in, int width, int height) {
    const std::int64_t w = in.width, h = in.height;
    const bool full_width = w * height >= h * width;
    const int across = full_width ? width : static_cast<int>(std::max<std::int64_t>(1, (2 * w * height + h) / (2 * h)));
    const int down = full_width ? static_cast<int>(std::max<std::int64_t>(1, (2 * h * width + w) / (2 * w))) : height;
    const Array scaled = across == in.width && down == in.height ? in : linear_exact(in, across, down);
    return placed(scaled, width, height, (width - across) / 2, (height - down) / 2, 0.0F);
}

inline std::pair<int, int> of_ratio(const Array& in, int width, int height) {
    return {static_cast<int>(static_cast<std::int64_t>(in.height) * width / height),
            static_cast<int>(static_cast<std::int64_t>(in.width) * height / width)};
}

inline void check_pixels(std::int64_t width, std::int64_t height) {
    if (width * height > most_pixels) throw Refused("image_too_large");
}

inline Array pad(const Array& in, int width, int height, bool to_ratio, float value) {
    int across = std::max(in.width, width), down = std::max(in.height, height);
    if (to_ratio) {
        const auto [wider, higher] = of_ratio(in, width, height);
        across = std::max(in.width, wider - (std::max(wider, in.width) - in.width) % 2);
        down = std::max(in.height, higher - (std::max(higher, in.height) - in.height) % 2);
    }
    check_pixels(across, down);
    return placed(in, across, down, (across - in.width) / 2, (down - in.height) / 2, value);
}

inline Array centre_crop(const Array& in, int width, int height, bool to_ratio) {
    int across = width, down = height;
    if (to_ratio) {
        const auto [wider, higher] = of_ratio(in, width, height);
        across = std::max(std::min(in.width, wider), 1);
        down = std::max(std::min(in.height, higher), 1);
    }
    if (across > in.width || down > in.height) throw Refused("image_too_small");
    return placed(in, across, down, -((in.width - across) / 2), -((in.height - down) / 2), 0.0F);
}

// For kernels of whole numbers, whose sums are exact in any order.
inline Array sharpen(const Array& in, const Json& kernel, const std::string& border, const std::string& result) {
    const int side = static_cast<int>(kernel.size()), half = side / 2;
    const auto inside = [&](int place, int size) {
        if (border == "replicate") return std::clamp(place, 0, size - 1);
        while (size > 1 && (place < 0 || place >= size)) place = place < 0 ? -place : 2 * (size - 1) - place;
        return size > 1 ? place : 0;
    };
    const Type type = result == "uint8" ? Type::uint8 : Type::float32;
    return filled(in.width, in.height, in, type, [&](int x, int y, int c) {
        double total = 0;
        for (int row = 0; row < side; ++row) {
            for (int column = 0; column < side; ++column) {
                const int from_x = x + column - half, from_y = y + row - half;
                const bool beyond = from_x < 0 || from_y < 0 || from_x >= in.width || from_y >= in.height;
                if (beyond && border == "zero") continue;
                const double weight = kernel[static_cast<std::size_t>(row)][static_cast<std::size_t>(column)];
                total += weight * in.at(inside(from_x, in.width), inside(from_y, in.height), c);
            }
        }
        return type == Type::uint8 ? saturated(total) : static_cast<float>(total);
    });
}

inline Array min_max(Array array, double low, double high) {
    const auto [least, most] = std::minmax_element(array.values.begin(), array.values.end());
    const float from = *least;
    if (from == *most) throw Refused("image_blank");
    const auto factor = static_cast<float>((high - low) / (static_cast<double>(*most) - static_cast<double>(from)));
    for (float& value : array.values) value = (value - from) * factor + static_cast<float>(low);
    array.type = Type::float32;
    return array;
}

inline Array scale(Array array, float divisor, float offset) {
    for (float& value : array.values) {
        value = value / divisor;
        if (offset != 0.0F) value = value + offset;
    }
    array.type = Type::float32;
    return array;
}

inline Array normalize(Array array, const std::vector<float>& mean, const std::vector<float>& std) {
    for (std::size_t i = 0; i < array.values.size(); ++i) {
        const std::size_t c = i % static_cast<std::size_t>(array.channels);
        array.values[i] = (array.values[i] - mean[c]) / std[c];
    }
    array.type = Type::float32;
    return array;
}

inline Image applied(const Json& step, Image image) {
    const std::string kind = step.at("kind");
    Array& in = image.pixels;
    const auto width = [&] { return step.at("width_px").get<int>(); };
    const auto height = [&] { return step.at("height_px").get<int>(); };
    const auto to_ratio = [&] { return step.at("to") == "aspect_ratio"; };
    if (kind == "colour") return colour(image, step.at("order"));
    if (kind == "window") in = window(in, step.at("low"), step.at("high"));
    else if (kind == "resize") in = resized(in, width(), height(), step.at("interpolation"), step.at("result"));
    else if (kind == "resize_shorter") {
        const std::int64_t shorter = std::min(in.width, in.height), wanted = step.at("shorter_px");
        check_pixels(in.width * wanted / shorter, in.height * wanted / shorter);
        in = resized(in, static_cast<int>(in.width * wanted / shorter), static_cast<int>(in.height * wanted / shorter),
                     step.at("interpolation"), step.at("result"));
    } else if (kind == "letterbox") in = letterbox(in, width(), height());
    else if (kind == "pad") in = pad(in, width(), height(), to_ratio(), step.at("value"));
    else if (kind == "centre_crop") in = centre_crop(in, width(), height(), to_ratio());
    else if (kind == "sharpen") in = sharpen(in, step.at("kernel"), step.at("border"), step.at("result"));
    else if (kind == "min_max") in = min_max(std::move(in), step.at("low"), step.at("high"));
    else if (kind == "scale") in = scale(std::move(in), step.at("divisor"), step.at("offset"));
    else if (kind == "normalize") in = normalize(std::move(in), step.at("mean"), step.at("std"));
    else throw std::invalid_argument("unknown step " + kind);
    return image;
}

} // namespace steps

// All steps of a spec: the network's input without its batch axis.
inline Array preprocess(const Json& spec_steps, Image image) {
    const bool windowed = !spec_steps.empty() && spec_steps[0].at("kind") == "window";
    if (image.pixels.type != Type::uint8 && !windowed) throw Refused("image_depth");
    for (const Json& step : spec_steps) image = steps::applied(step, std::move(image));
    image.pixels.type = Type::float32;
    return image.pixels;
}

// The network's int8 input (TFLite): round(x / scale) + zero point, in float32, saturated.
inline int quantised(float value, float scale, int zero_point) {
    const float level = std::nearbyint(value / scale) + static_cast<float>(zero_point);
    return static_cast<int>(std::clamp(level, -128.0F, 127.0F));
}

// A float32 logit from the network's int8 output (TFLite).
inline float dequantised(int level, float scale, int zero_point) {
    return (static_cast<float>(level) - static_cast<float>(zero_point)) * scale;
}

// The square around a marked region, with zeros outside the image.
inline Image region_crop(const Image& image, double x, double y, double radius, const Json& rule) {
    const Array& in = image.pixels;
    if (!(x >= 0 && x <= in.width - 1 && y >= 0 && y <= in.height - 1)) throw Refused("image_region_outside");
    const double half = std::max(rule.at("margin").get<double>() * radius, rule.at("least_half_px").get<double>());
    if (!(2 * half <= 8000)) throw Refused("image_region_too_large");
    const int left = static_cast<int>(std::nearbyint(x - half)), top = static_cast<int>(std::nearbyint(y - half));
    const int side = static_cast<int>(std::nearbyint(2 * half));
    const int x0 = std::max(left, 0), x1 = std::min(left + side, in.width);
    const int y0 = std::max(top, 0), y1 = std::min(top + side, in.height);
    if (std::min(x1 - x0, y1 - y0) < 8) throw Refused("image_region_too_small");
    if (rule.contains("least_range")) {
        int range = 0;
        for (int c = 0; c < in.channels; ++c) {
            std::vector<int> levels;
            for (int v = y0; v < y1; ++v)
                for (int u = x0; u < x1; ++u) levels.push_back(in.level(u, v, c));
            std::sort(levels.begin(), levels.end());
            const std::size_t cut = levels.size() / 100;
            range = std::max(range, levels[levels.size() - 1 - cut] - levels[cut]);
        }
        if (range < rule.at("least_range").get<int>()) throw Refused("image_region_blank");
    }
    return {steps::placed(in, side, side, -left, -top, 0.0F), image.order};
}

} // namespace edge
