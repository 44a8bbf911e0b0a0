// Compares preprocess.hpp, statistics.hpp and decision.hpp with the test vectors of docs/reference/vectors.
// usage: check-vectors VECTORS BUNDLES
// Exit status: 0 all equal, 1 a vector differs, 2 usage.

#include <fstream>
#include <iostream>
#include <map>

#include "decision.hpp"
#include "preprocess.hpp"
#include "sha256.hpp"
#include "statistics.hpp"

namespace {

using edge::Array;
using edge::Image;
using edge::Json;

constexpr double tolerance = 1e-12; // of numbers from exp, log and sqrt, relative to 1 or more

Json read(const std::string& path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error("cannot read " + path);
    return Json::parse(file);
}

// The drawn image of docs/reference/reimplement.md.
Image drawn(const Json& image) {
    const int width = image.at("width"), height = image.at("height"), channels = image.at("channels");
    const bool deep = image.at("bits") == 16;
    Array pixels(width, height, channels, deep ? edge::Type::uint16 : edge::Type::uint8);
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
            for (int c = 0; c < channels; ++c) {
                const int value = 37 * x + 59 * y + 83 * c + x * y / 7 + (x * x + 3 * y * y) / 11;
                pixels.at(x, y, c) = static_cast<float>(deep ? value * 257 % 65536 : value % 256);
            }
        }
    }
    return {pixels, image.at("order")};
}

std::uint32_t bits_of(float value) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

// SHA-256 of the values in order: little-endian float32.
std::string digest(const Array& array) {
    std::string bytes;
    for (const float value : array.values) {
        const std::uint32_t bits = bits_of(value);
        for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(bits >> shift & 0xFF);
    }
    return edge::sha256(bytes);
}

float float_of(const Json& hexadecimal) {
    const auto bits = static_cast<std::uint32_t>(std::stoul(hexadecimal.get<std::string>(), nullptr, 16));
    float value = 0;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

bool same(const Array& found, const Json& result) {
    const Json& values = result.at("values");
    if (found.width != result.at("width") || found.height != result.at("height") ||
        found.channels != result.at("channels") || found.values.size() != values.size()) return false;
    for (std::size_t i = 0; i < values.size(); ++i) {
        const bool equal = found.type == edge::Type::float32
                               ? bits_of(found.values[i]) == bits_of(float_of(values[i]))
                               : found.values[i] == values[i].get<float>();
        if (!equal) return false;
    }
    return true;
}

bool near(double found, double expected) {
    return std::abs(found - expected) <= tolerance * std::max(1.0, std::abs(expected));
}

// Runs `work`, whose result is the code of a refusal or empty.
template <typename Work> std::string refusal(Work work) {
    try {
        work();
        return "";
    } catch (const edge::Refused& refused) {
        return refused.what();
    }
}

bool step(const Json& each) {
    Image image = drawn(each.at("image"));
    if (each.value("float32", false)) {
        for (float& value : image.pixels.values) value = value / 8.0F - 5.0F;
        image.pixels.type = edge::Type::float32;
    }
    return same(edge::steps::applied(each.at("step"), image).pixels, each.at("result"));
}

bool region(const Json& each) {
    const Json& circle = each.at("region");
    const std::string found = refusal([&] {
        const Image square = edge::region_crop(drawn(each.at("image")), circle.at("x"), circle.at("y"),
                                               circle.at("radius"), each.at("rule"));
        if (!each.contains("result") || !same(square.pixels, each.at("result"))) throw edge::Refused("differs");
    });
    return found == each.value("refused", "");
}

bool statistics(const Json& each) {
    const std::vector<double> found = edge::image_statistics(drawn(each.at("image"))), expected = each.at("statistics");
    return std::equal(found.begin(), found.end(), expected.begin(), expected.end(), near);
}

bool quantisation(const Json& each) {
    const float scale = each.at("scale");
    const int zero_point = each.at("zero_point");
    const auto level = [&](const Json& value) { return edge::quantised(float_of(value), scale, zero_point); };
    const auto output = [&](const Json& value) { return bits_of(edge::dequantised(value, scale, zero_point)); };
    const auto equal = [](const Json& given, const Json& expected, auto found) {
        bool all = given.size() == expected.size();
        for (std::size_t i = 0; all && i < given.size(); ++i) all = found(given[i], expected[i]);
        return all;
    };
    return equal(each.at("values"), each.at("levels"), [&](const Json& a, const Json& b) { return level(a) == b; }) &&
           equal(each.at("output_levels"), each.at("outputs"),
                 [&](const Json& a, const Json& b) { return output(a) == bits_of(float_of(b)); });
}

bool network_features(const Json& each) {
    const Json& familiarity = each.at("familiarity");
    const Array image = each.contains("image") ? drawn(each.at("image")).pixels : Array(1, 1, 1, edge::Type::uint8);
    const double share = edge::network_share(each.at("moments"), familiarity);
    return near(std::max(share, edge::image_excess(image, familiarity)), each.at("share"));
}

bool decision(const Json& each) {
    const Json& expected = each.at("verdict");
    const edge::Verdict found = edge::decide(each.at("logits"), each.at("spec"), each.at("familiar"), each.at("rerun"));
    const std::vector<double> scores = expected.at("scores");
    return std::equal(found.scores.begin(), found.scores.end(), scores.begin(), scores.end(), near) &&
           near(found.score, expected.at("score")) && near(found.confidence, expected.at("confidence")) &&
           near(edge::margin(found, each.at("spec").at("policy")), expected.at("margin")) &&
           found.decision == expected.at("decision") && found.reason == expected.at("reason") &&
           found.label == expected.at("label");
}

bool case_rule(const Json& each) {
    const auto found = edge::decide_case(each.at("decisions"), each.at("confidences"), each.at("rule"));
    return found.first == each.at("decision") && found.second == each.at("reason");
}

// A shipped model: contract, tensor and, for a check on the image, the share.
bool model(const Json& each, const std::string& bundles) {
    const std::string name = each.at("model");
    const Json manifest = read(bundles + "/" + name + "/bundle.json");
    const Json& spec = manifest.at("spec");
    const Image whole = drawn(each.at("image"));
    Image shown = whole;
    if (spec.contains("region")) {
        const Json& circle = each.at("region");
        shown = edge::region_crop(whole, circle.at("x"), circle.at("y"), circle.at("radius"), spec.at("region"));
    }
    Json contracted = spec.at("steps");
    if (spec.contains("dicom")) contracted = {{"dicom", spec.at("dicom")}, {"steps", spec.at("steps")}};
    const std::string contract = edge::sha256(contracted.dump());
    bool equal = contract == manifest.at("contract") && contract == each.at("contract") &&
                 digest(edge::preprocess(spec.at("steps"), shown)) == each.at("tensor_sha256");
    if (each.contains("share")) {
        equal = equal && near(edge::image_share(whole, shown, spec.at("familiarity")), each.at("share"));
    }
    return equal;
}

} // namespace

int main(int count, char** arguments) {
    if (count != 3) return 2;
    const std::string folder = arguments[1], bundles = arguments[2];
    const std::map<std::string, std::function<bool(const Json&)>> checks{
        {"steps", step},
        {"regions", region},
        {"statistics", statistics},
        {"quantisation", quantisation},
        {"network_features", network_features},
        {"decisions", decision},
        {"cases", case_rule},
        {"models", [&](const Json& each) { return model(each, bundles); }},
    };
    try {
        int differing = 0;
        for (const auto& [name, check] : checks) {
            int equal = 0;
            const Json vectors = read(folder + "/" + name + ".json").at("vectors");
            for (const Json& each : vectors) {
                if (check(each)) ++equal;
                else ++differing, std::cout << "differs: " << name << ": " << each.at("name") << '\n';
            }
            std::cout << name << ": " << equal << " of " << vectors.size() << " equal\n";
        }
        return differing == 0 ? 0 : 1;
    } catch (const std::exception& error) {
        std::cerr << "error: " << error.what() << '\n';
        return 2;
    }
}
