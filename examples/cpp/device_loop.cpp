// A device's main loop: it acquires a frame every few milliseconds and never waits for an answer.
// usage: device-loop SOCKET MODEL CONTRACT IMAGE FRAMES INTERVAL_MS DEPTH

#include <fstream>
#include <iostream>
#include <iterator>

#include "edge_worker.hpp"

int main(int count, char** arguments) {
    if (count != 8) return 2;
    const edge::Expected expected{arguments[2], "", arguments[3]};
    std::ifstream file(arguments[4], std::ios::binary);
    const std::string image{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const int frames = std::stoi(arguments[5]), interval_ms = std::stoi(arguments[6]);
    int answered = 0, failed = 0, refused = 0;
    {
        const auto done = [&](const edge::Outcome& outcome) { // in the worker's thread
            ++(outcome.answer ? answered : failed);
            std::cout << "frame " << outcome.frame << ": "
                      << (outcome.answer ? outcome.answer->decision : "not assessed, " + outcome.code) << std::endl;
        };
        edge::Limits limits;
        limits.answer = edge::milliseconds(2'000); // a frame that is older is of no use here
        limits.attempts = 2;
        edge::Worker worker(arguments[1], expected, std::stoul(arguments[7]), done, limits);
        for (int frame = 0; frame < frames; ++frame) {
            if (!worker.offer(static_cast<std::uint64_t>(frame), image)) ++refused; // shown as "not assessed"
            std::this_thread::sleep_for(edge::milliseconds(interval_ms)); // stands for the device's own work
        }
        std::this_thread::sleep_for(edge::milliseconds(300));
    } // the worker has ended: the counts are complete
    std::cout << frames << " frames: " << answered << " answered, " << failed << " failed, " << refused
              << " not accepted" << std::endl;
    return answered + failed + refused == frames ? 0 : 1;
}
