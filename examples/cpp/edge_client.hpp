// A client of edge-serve over its Unix socket: C++17, Debian's libcpp-httplib-dev and nlohmann-json3-dev.
//
// One Client belongs to one thread. It keeps one connection open and opens a new one where the service has closed it.
// Nothing is stored and nothing is logged. docs/how-to/embed-service.md explains the decisions that are made here.

#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>

#include <httplib.h>
#include <nlohmann/json.hpp>

namespace edge {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Why there is no answer. The numbers are the exit statuses of edge-predict.
enum class Fault {
    refused = 1,   // this image cannot be used; the same bytes will be refused again
    usage = 2,     // the request is wrong: a missing region, an unknown parameter
    model = 3,     // the service has no such model, or another version or contract than expected
    not_ready = 4, // the self-test of the model has not passed on this machine
    machine = 6,   // no connection, no answer in time, a full queue or a fault of the machine; try again later
};

class Error : public std::runtime_error {
public:
    Error(Fault why, std::string name, const std::string& message, std::string json = {})
        : std::runtime_error(message), fault(why), code(std::move(name)), line(std::move(json)) {}

    Fault fault;
    std::string code; // stable, for programs
    std::string line; // the JSON line of a refused image, else empty
};

// A circle: centre and radius in pixels; the centre of the upper left pixel is 0, 0.
struct Region {
    double x, y, radius;
};

// The model that this program was released with. Empty fields are not compared.
struct Expected {
    std::string name, version, contract;
};

struct Limits {
    milliseconds connect{2'000};
    milliseconds answer{10'000};  // for one attempt; an image waits behind those before it
    milliseconds in_all{30'000};  // no attempt begins later than this after the first one
    milliseconds pause{250};      // before the next attempt where the service names none; doubled each time
    int attempts = 5;
};

struct Answer {
    std::string decision; // POSITIVE, NEGATIVE or REFER
    std::string reason, label, version, contract;
    double score, cutoff;
    std::string heatmap; // PNG in base64, empty if none was asked for
    std::string line;    // the JSON line
};

class Client {
public:
    explicit Client(const std::string& socket, Limits limits = {}, std::string token = {})
        : http_(socket, 80), limits_(limits), token_(std::move(token)) {
        http_.set_address_family(AF_UNIX);
        http_.set_keep_alive(true);
        http_.set_connection_timeout(limits.connect);
        http_.set_read_timeout(limits.answer);
        http_.set_write_timeout(limits.answer);
    }

    // Throws Error (Fault::model) unless the service has the expected model. Call it at the start.
    void check(const Expected& expected) {
        const Json found = parsed(sent("GET", "/v1/models/" + encoded(expected.name), {}));
        try {
            const Json& manifest = found.at("manifest");
            const Json& spec = manifest.at("spec");
            compare(expected, spec.at("name"), spec.at("version"), manifest.at("contract"));
        } catch (const Json::exception& problem) {
            throw unknown(problem);
        }
    }

    // Answers one encoded image (PNG, JPEG, ...). Every answer is compared with `expected`: the service takes over a newly
    // installed model while it runs. The image is sent again after a lost connection; an answer changes nothing.
    Answer predict(const std::string& image, const Expected& expected, std::optional<Region> region = {},
                   bool heatmap = false) {
        std::string path = "/v1/predict?model=" + encoded(expected.name);
        if (region) path += "&region=" + number(region->x) + "," + number(region->y) + "," + number(region->radius);
        if (heatmap) path += "&heatmap=1";
        std::string line = sent("POST", path, image);
        const Json found = parsed(line);
        try {
            Answer answer{found.at("decision"), found.at("reason"), found.at("label"), found.at("version"),
                          found.at("contract"), found.at("score"),  found.at("cutoff"), "", ""};
            if (heatmap) answer.heatmap = found.at("heatmap").at("data");
            compare(expected, found.at("model"), answer.version, answer.contract);
            answer.line = without_end(std::move(line));
            return answer;
        } catch (const Json::exception& problem) {
            throw unknown(problem);
        }
    }

private:
    // Returns the body of a 200. Repeats after 503 with Retry-After and after a lost connection, within the limits.
    std::string sent(const std::string& method, const std::string& path, const std::string& body) {
        const Clock::time_point last_start = Clock::now() + limits_.in_all;
        milliseconds pause = limits_.pause;
        for (int attempt = 1;; ++attempt, pause *= 2) {
            httplib::Result result = once(method, path, body);
            if (result && result->status == 200) return std::move(result->body);
            const bool busy = result && result->status == 503 && result->has_header("Retry-After");
            const milliseconds wait = busy ? seconds_of(result->get_header_value("Retry-After"), pause) : pause;
            const bool again = busy || !result;
            if (!again || attempt >= limits_.attempts || Clock::now() + wait > last_start) throw error_of(result);
            std::this_thread::sleep_for(wait);
        }
    }

    // The image is sent from the caller's memory, without a copy.
    httplib::Result once(const std::string& method, const std::string& path, const std::string& body) {
        httplib::Headers headers{{"Host", "localhost"}}; // without it, the path of the socket would be sent
        if (!token_.empty()) headers.emplace("Authorization", "Bearer " + token_);
        if (method == "GET") return http_.Get(path, headers);
        const auto part = [&body](std::size_t offset, std::size_t length, httplib::DataSink& sink) {
            return sink.write(body.data() + offset, length);
        };
        return http_.Post(path, headers, body.size(), part, "application/octet-stream");
    }

    static Error error_of(const httplib::Result& result) {
        if (!result) return {Fault::machine, "connection", "no answer: " + httplib::to_string(result.error())};
        const Json found = Json::parse(result->body, nullptr, false);
        if (!found.is_object() || !found.contains("error")) {
            return {Fault::machine, "internal", "status " + std::to_string(result->status) + " without an error in JSON"};
        }
        const Json& error = found["error"];
        const std::string code = error.value("code", "internal"), message = error.value("message", "");
        switch (result->status) {
        case 422: return {Fault::refused, code, message, without_end(result->body)};
        case 404: return {Fault::model, code, message};
        case 503: {
            const bool not_ready = code == "model_not_ready" || code == "selftest_failed";
            return {not_ready ? Fault::not_ready : Fault::machine, code, message};
        }
        default: return {result->status < 500 ? Fault::usage : Fault::machine, code, message};
        }
    }

    static void compare(const Expected& expected, const std::string& name, const std::string& version,
                        const std::string& contract) {
        const auto differs = [](const std::string& wanted, const std::string& found) {
            return !wanted.empty() && wanted != found;
        };
        if (differs(expected.name, name) || differs(expected.version, version) || differs(expected.contract, contract)) {
            throw Error(Fault::model, "model_differs",
                        "found " + name + " " + version + " with contract " + contract.substr(0, 12) + ", expected " +
                            expected.name + " " + expected.version + " " + expected.contract.substr(0, 12));
        }
    }

    static Json parsed(const std::string& text) {
        Json found = Json::parse(text, nullptr, false);
        if (!found.is_object()) throw Error(Fault::model, "answer_unknown", "the answer is not a JSON object");
        return found;
    }

    static Error unknown(const Json::exception& problem) {
        return {Fault::model, "answer_unknown", std::string("an answer of another form: ") + problem.what()};
    }

    static std::string without_end(std::string line) {
        if (!line.empty() && line.back() == '\n') line.pop_back();
        return line;
    }

    // A whole number of seconds, at most a minute; `otherwise` for anything else.
    static milliseconds seconds_of(const std::string& text, milliseconds otherwise) {
        const bool whole = !text.empty() && text.size() <= 4 &&
                           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
        return whole ? std::min(milliseconds(60'000), milliseconds(1000 * std::stoi(text))) : otherwise;
    }

    static std::string encoded(const std::string& text) {
        static const char* digits = "0123456789ABCDEF";
        std::string result;
        for (const char c : text) {
            const auto byte = static_cast<unsigned char>(c);
            const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                               c == '.' || c == '_';
            if (plain) result += c;
            else (result += '%') += digits[byte >> 4], result += digits[byte & 15];
        }
        return result;
    }

    static std::string number(double value) {
        std::ostringstream text;
        text.imbue(std::locale::classic()); // a point, whatever the locale of the program is
        text.precision(17);
        text << std::fixed << value;
        std::string digits = text.str();
        digits.erase(digits.find_last_not_of('0') + 1);
        return digits.back() == '.' ? digits.substr(0, digits.size() - 1) : digits;
    }

    httplib::Client http_;
    Limits limits_;
    std::string token_;
};

} // namespace edge
