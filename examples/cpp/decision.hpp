// From logits to a decision: docs/explanation/decision-policy.md. All arithmetic is in double.

#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace edge {

using Json = nlohmann::json;

struct Verdict {
    std::vector<double> scores; // of the labels
    double score, confidence;
    std::string decision, reason, label;
};

namespace decision {

// log(1 + e^x) without overflow.
inline double log_1_exp(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }
inline double log_sigmoid(double z) { return -log_1_exp(-z); }
inline double sigmoid(double z) { return std::exp(log_sigmoid(z)); }

inline std::vector<double> scores(const std::vector<float>& logits, const std::string& head, double temperature) {
    std::vector<double> found;
    if (head == "probabilities") {
        for (const double p : logits) {
            if (!(p >= -0.01 && p <= 1.01)) throw std::range_error("an output is not a probability");
            found.push_back(std::clamp(p, 0.0, 1.0));
        }
        return found;
    }
    for (const double logit : logits) found.push_back(logit / temperature);
    if (head == "sigmoid") return {sigmoid(-found[0]), sigmoid(found[0])};
    if (head == "independent_sigmoids") {
        for (double& z : found) z = sigmoid(z);
        return found;
    }
    const double most = *std::max_element(found.begin(), found.end());
    double total = 0;
    for (double& z : found) total += z = std::exp(z - most);
    for (double& z : found) z /= total;
    return found;
}

} // namespace decision

// The verdict on one image. `spec` needs labels, positive, head and policy.
inline Verdict decide(const std::vector<float>& logits, const Json& spec, bool familiar, bool rerun) {
    const std::vector<std::string> labels = spec.at("labels"), positive = spec.at("positive");
    const Json& policy = spec.at("policy");
    const std::string head = spec.at("head");
    const double temperature = policy.at("temperature");
    Verdict verdict{decision::scores(logits, head, temperature), 0, 0, "", "", ""};
    const auto is_positive = [&](std::size_t i) {
        return std::find(positive.begin(), positive.end(), labels[i]) != positive.end();
    };
    double sum = 0, strongest = -std::numeric_limits<double>::infinity(), other = strongest;
    for (std::size_t i = 0; i < labels.size(); ++i) {
        if (is_positive(i)) sum += verdict.scores[i];
        if (head == "independent_sigmoids") {
            double& side = is_positive(i) ? strongest : other;
            side = std::max(side, decision::log_sigmoid(logits[i] / temperature));
        }
    }
    verdict.score = head == "independent_sigmoids" ? decision::sigmoid(strongest - other) : std::min(sum, 1.0);
    verdict.confidence = *std::max_element(verdict.scores.begin(), verdict.scores.end());
    if (!familiar) verdict.decision = "REFER", verdict.reason = "UNFAMILIAR_INPUT";
    else {
        if (verdict.confidence < policy.at("confidence_floor").get<double>()) {
            verdict.decision = "REFER", verdict.reason = "LOW_CONFIDENCE";
        } else if (verdict.score >= policy.at("cutoff").get<double>()) {
            verdict.decision = "POSITIVE", verdict.reason = "ABOVE_CUTOFF";
        } else verdict.decision = "NEGATIVE", verdict.reason = "BELOW_CUTOFF";
        if (rerun) verdict.reason = "PRECISION_RERUN";
    }
    double best = -1;
    for (std::size_t i = 0; i < labels.size(); ++i) {
        const bool on_side = verdict.decision == "REFER" || is_positive(i) == (verdict.decision == "POSITIVE");
        if (on_side && verdict.scores[i] > best) best = verdict.scores[i], verdict.label = labels[i];
    }
    return verdict;
}

// The distance to the nearest threshold that could change the decision. At most the guard band: run the float32 file.
inline double margin(const Verdict& verdict, const Json& policy) {
    const double floor = policy.at("confidence_floor"), to_floor = std::abs(verdict.confidence - floor);
    if (verdict.confidence < floor) return to_floor;
    return std::min(to_floor, std::abs(verdict.score - policy.at("cutoff").get<double>()));
}

// The case rule over the images of one patient: the decision and its reason.
inline std::pair<std::string, std::string> decide_case(const std::vector<std::string>& decisions,
                                                       const std::vector<double>& confidences, const Json& rule) {
    int answered = 0, positive = 0;
    for (std::size_t i = 0; i < decisions.size(); ++i) {
        if (decisions[i] == "REFER" || confidences[i] < rule.at("confidence").get<double>()) continue;
        ++answered;
        positive += decisions[i] == "POSITIVE";
    }
    const int count = rule.at("count");
    if (answered == 0) return {"REFER", "LOW_CONFIDENCE"};
    if (positive >= count) return {"POSITIVE", "ENOUGH_POSITIVE"};
    if (answered < count) return {"REFER", "TOO_FEW_ANSWERED"};
    return {"NEGATIVE", "TOO_FEW_POSITIVE"};
}

} // namespace edge
