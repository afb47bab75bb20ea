#include <gyre/module/check.hpp>

#include <algorithm>

namespace gyre::module {
namespace {

std::string joined(const std::vector<std::string>& parts) {
    std::string text;
    for (const auto& part : parts) text += (text.empty() ? "" : ", ") + part;
    return text;
}
std::string counted(std::size_t count, const char* what) {
    return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}
std::string padded(std::string text, std::size_t width) {
    text.resize(std::max(width, text.size()), ' ');
    return text;
}

}  // namespace

std::string readable(const CheckReport& report) {
    std::string text = report.name.empty() ? report.file : report.name;
    if (!report.build.empty()) text += "  build " + report.build.substr(0, 12);
    if (report.api != 0) text += "  API " + std::to_string(report.api);
    text += report.ok ? "  ok\n" : "  refused\n";
    for (const auto& error : report.errors) text += "  error: " + error + "\n";
    for (const auto& warning : report.warnings) text += "  warning: " + warning + "\n";
    std::size_t widest = 0;
    for (const auto& type : report.types) widest = std::max(widest, type.name.size());
    for (const auto& type : report.types) {
        text += "  " + padded(type.kind, 10) + padded(type.name, widest + 2) + padded(counted(type.size, "byte"), 11) +
                padded(counted(type.fields.size(), "field"), 11) + padded(counted(type.methods.size(), "method"), 12);
        if (!type.change.empty()) text += padded(type.change, 9);
        std::vector<std::string> more = type.hooks;
        if (type.migrates) more.push_back("migrate");
        for (const auto& resident : type.residents) more.push_back("resident " + resident);
        if (!type.components.empty()) more.push_back("has " + joined(type.components));
        text += joined(more);
        text.erase(text.find_last_not_of(' ') + 1);
        text += "\n";
    }
    if (!report.removed.empty()) text += "  removed: " + joined(report.removed) + "\n";
    if (report.samples != 0) text += "  " + counted(report.samples, "live object") + " read\n";
    return text;
}

}  // namespace gyre::module
