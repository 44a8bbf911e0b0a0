// Answers as Qt signals: the window's thread never waits for the service.

#pragma once

#include <QObject>
#include <QString>

#include "edge_worker.hpp"

class Classifier : public QObject {
    Q_OBJECT

public:
    Classifier(const QString& socket, edge::Expected expected, QObject* parent = nullptr)
        : QObject(parent), worker_(socket.toStdString(), std::move(expected), 4, [this](const edge::Outcome& outcome) {
              // In the worker's thread: a signal to an object of another thread is queued.
              const auto frame = static_cast<quint64>(outcome.frame);
              if (outcome.answer) emit answered(frame, QString::fromStdString(outcome.answer->decision), outcome.answer->score);
              else emit notAssessed(frame, QString::fromStdString(outcome.code));
          }) {}

    // Call it in the window's thread with an encoded image.
    void classify(quint64 frame, const QByteArray& image) {
        if (!worker_.offer(frame, image.toStdString())) emit notAssessed(frame, QStringLiteral("queue_full"));
    }

signals:
    void answered(quint64 frame, const QString& decision, double score);
    void notAssessed(quint64 frame, const QString& code);

private:
    edge::Worker worker_; // the last member: it ends before the rest of the object goes
};
