// edge-client: answers images by a running edge-serve. Options, output and exit status follow edge-predict.

#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "edge_client.hpp"

namespace {

constexpr const char* usage =
    "usage: edge-client --socket PATH --model NAME [--expect-version V] [--expect-contract SHA256]\n"
    "                   [--region X,Y,RADIUS] [--heatmap FILE.png] [--json] [--attempts N] [--timeout SECONDS] IMAGE...\n"
    "Exit status: 0 answered, 1 an image was refused, 2 usage, 3 another model than expected, 4 the service is not ready,\n"
    "5 output failed, 6 no connection, a full queue or a fault of the machine.\n";

struct Options {
    std::string socket, heatmap;
    edge::Expected expected;
    std::optional<edge::Region> region;
    bool json = false;
    edge::Limits limits;
    std::vector<std::string> images;
};

struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

double number(const std::string& text) {
    std::istringstream stream(text);
    stream.imbue(std::locale::classic());
    double value = 0;
    if (!(stream >> value) || !stream.eof()) throw UsageError("found '" + text + "', expected a number.");
    return value;
}

edge::Region region(const std::string& text) {
    std::vector<double> numbers;
    std::istringstream stream(text);
    for (std::string part; std::getline(stream, part, ',');) numbers.push_back(number(part));
    if (numbers.size() != 3) throw UsageError("found region '" + text + "', expected X,Y,RADIUS.");
    return {numbers[0], numbers[1], numbers[2]};
}

Options parsed(const std::vector<std::string>& arguments) {
    Options options;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string& name = arguments[i];
        if (name.rfind("--", 0) != 0) {
            options.images.push_back(name);
            continue;
        }
        if (name == "--json") {
            options.json = true;
            continue;
        }
        if (++i == arguments.size()) throw UsageError("found no value after " + name + ".");
        const std::string& value = arguments[i];
        if (name == "--socket") options.socket = value;
        else if (name == "--model") options.expected.name = value;
        else if (name == "--expect-version") options.expected.version = value;
        else if (name == "--expect-contract") options.expected.contract = value;
        else if (name == "--region") options.region = region(value);
        else if (name == "--heatmap") options.heatmap = value;
        else if (name == "--attempts") options.limits.attempts = static_cast<int>(number(value));
        else if (name == "--timeout") options.limits.answer = edge::milliseconds(static_cast<int>(1000 * number(value)));
        else throw UsageError("found unknown option " + name + ".");
    }
    if (options.socket.empty() || options.expected.name.empty() || options.images.empty()) {
        throw UsageError("expected --socket, --model and an image.");
    }
    if (!options.heatmap.empty() && options.images.size() > 1) throw UsageError("--heatmap takes one image.");
    return options;
}

std::string content(const std::string& path) {
    std::error_code error;
    const std::uintmax_t size = std::filesystem::file_size(path, error);
    if (error) throw UsageError("cannot read " + path + ": " + error.message() + ".");
    std::ifstream file(path, std::ios::binary);
    std::string bytes(static_cast<std::size_t>(size), '\0');
    if (!file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()))) throw UsageError("cannot read " + path + ".");
    return bytes;
}

void write(const std::string& path, const std::string& bytes) {
    std::ofstream file(path, std::ios::binary);
    file << bytes << std::flush;
    if (!file) throw std::ios_base::failure("cannot write " + path);
}

std::string decoded(const std::string& base64) {
    static const std::string letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string bytes;
    std::uint32_t bits = 0;
    int count = 0;
    for (const char c : base64) {
        const std::size_t six = letters.find(c);
        if (six == std::string::npos) break; // the padding
        bits = bits << 6 | static_cast<std::uint32_t>(six);
        if ((count += 6) >= 8) bytes += static_cast<char>(bits >> (count -= 8) & 0xFF);
    }
    return bytes;
}

void show(const Options& options, const std::string& path, const edge::Answer& answer) {
    if (!options.heatmap.empty()) write(options.heatmap, decoded(answer.heatmap));
    if (options.json) std::cout << answer.line << '\n';
    else std::cout << path << ": " << answer.decision << " (" << answer.reason << "), score " << answer.score << '\n';
    if (!std::cout.flush()) throw std::ios_base::failure("cannot write to stdout");
}

int run(const Options& options) {
    edge::Client client(options.socket, options.limits);
    client.check(options.expected);
    int status = 0;
    for (const std::string& path : options.images) {
        try {
            const bool heatmap = !options.heatmap.empty();
            show(options, path, client.predict(content(path), options.expected, options.region, heatmap));
        } catch (const edge::Error& error) {
            if (error.fault != edge::Fault::refused) throw;
            std::cerr << path << ": no answer [" << error.code << "] " << error.what() << '\n';
            if (options.json) std::cout << error.line << std::endl;
            status = static_cast<int>(edge::Fault::refused);
        }
    }
    return status;
}

} // namespace

int main(int count, char** arguments) {
    try {
        return run(parsed({arguments + 1, arguments + count}));
    } catch (const UsageError& error) {
        std::cerr << "error: " << error.what() << '\n' << usage;
        return static_cast<int>(edge::Fault::usage);
    } catch (const edge::Error& error) {
        std::cerr << "error [" << error.code << "]: " << error.what() << '\n';
        return static_cast<int>(error.fault);
    } catch (const std::ios_base::failure& error) {
        std::cerr << "error: " << error.what() << '\n';
        return 5;
    }
}
