// usage: qt-classifier SOCKET MODEL CONTRACT IMAGE

#include <QCoreApplication>
#include <QFile>
#include <QTextStream>

#include "classifier.hpp"

int main(int count, char** arguments) {
    QCoreApplication application(count, arguments);
    const QStringList given = application.arguments();
    QFile file(given.value(4));
    if (given.size() != 5 || !file.open(QIODevice::ReadOnly)) return 2;
    Classifier classifier(given[1], {given[2].toStdString(), "", given[3].toStdString()});
    QTextStream out(stdout);
    QObject::connect(&classifier, &Classifier::answered, &application, [&](quint64, const QString& decision, double score) {
        out << decision << " " << score << Qt::endl;
        QCoreApplication::exit(0);
    });
    QObject::connect(&classifier, &Classifier::notAssessed, &application, [&](quint64, const QString& code) {
        out << "not assessed: " << code << Qt::endl;
        QCoreApplication::exit(1);
    });
    classifier.classify(1, file.readAll());
    return QCoreApplication::exec();
}
