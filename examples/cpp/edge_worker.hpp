// Answers frames in a thread of its own, so that a device's main loop or a window never waits for the service.
//
// The queue is bounded: a full one refuses a frame at once. Every frame that is offered gets exactly one outcome or one
// `false`; none is dropped silently.

#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>

#include "edge_client.hpp"

namespace edge {

struct Outcome {
    std::uint64_t frame;
    std::optional<Answer> answer; // empty: not assessed, and `code` says why
    std::string code;
};

class Worker {
public:
    // `done` is called in the worker's thread, once for each accepted frame, and must not throw.
    Worker(std::string socket, Expected expected, std::size_t depth, std::function<void(Outcome)> done, Limits limits = {})
        : socket_(std::move(socket)), expected_(std::move(expected)), depth_(depth), done_(std::move(done)),
          limits_(limits), thread_([this] { run(); }) {}

    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    // Frames that wait are given back as not assessed; the one in work is finished within Limits::answer.
    ~Worker() {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            stopping_ = true;
        }
        changed_.notify_one();
        thread_.join();
    }

    // Takes an encoded image, or returns false if `depth` images wait already. Never blocks for long.
    bool offer(std::uint64_t frame, std::string image) {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (waiting_.size() >= depth_) return false;
            waiting_.push_back({frame, std::move(image)});
        }
        changed_.notify_one();
        return true;
    }

private:
    struct Frame {
        std::uint64_t number;
        std::string image;
    };

    void run() {
        Client client(socket_, limits_);
        for (;;) {
            std::unique_lock<std::mutex> lock(mutex_);
            changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
            if (waiting_.empty()) return;
            const Frame frame = std::move(waiting_.front());
            waiting_.pop_front();
            const bool stopping = stopping_;
            lock.unlock();
            done_(stopping ? Outcome{frame.number, {}, "stopped"} : outcome(client, frame));
        }
    }

    Outcome outcome(Client& client, const Frame& frame) {
        try {
            return {frame.number, client.predict(frame.image, expected_), ""};
        } catch (const Error& error) {
            return {frame.number, {}, error.code};
        } catch (const std::exception&) { // no memory, for example
            return {frame.number, {}, "internal"};
        }
    }

    std::string socket_;
    Expected expected_;
    std::size_t depth_;
    std::function<void(Outcome)> done_;
    Limits limits_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Frame> waiting_;
    bool stopping_ = false;
    std::thread thread_; // the last member: it starts when all others are there
};

} // namespace edge
