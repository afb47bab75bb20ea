#include <gyre/trace/symbols.hpp>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <regex>
#include <set>

#include "commands.hpp"
#include "terminal.hpp"

namespace gyre::cli {
namespace {

namespace fs = std::filesystem;

/// Finds the files that frames name, by their build ids: a file that was replaced since is not believed.
class Objects {
public:
    explicit Objects(std::vector<std::string> folders) : folders_(std::move(folders)) {}

    /// Null: not found; problems() says why.
    const trace::Object* find(const std::string& path, const std::string& build) {
        const auto key = std::pair(path, build);
        if (const auto known = found_.find(key); known != found_.end()) return known->second.get();
        return (found_[key] = look(path, build)).get();
    }
    const std::set<std::string>& problems() const { return problems_; }

private:
    static bool same(const std::string& a, const std::string& b) {
        const std::size_t size = std::min(a.size(), b.size());
        return size >= 8 && a.compare(0, size, b, 0, size) == 0;
    }
    std::unique_ptr<trace::Object> open(const std::string& path, const std::string& build, std::string& other) {
        std::error_code ignored;
        if (!fs::is_regular_file(path, ignored)) return nullptr;
        auto object = trace::Object::open(path);
        if (!object) {
            other = object.error().what();
            return nullptr;
        }
        if (!build.empty() && !same(object->build_id(), build)) {
            other = "is build " + object->build_id();
            return nullptr;
        }
        return std::make_unique<trace::Object>(*std::move(object));
    }
    std::unique_ptr<trace::Object> look(std::string path, const std::string& build) {
        std::string other = "is not there";
        if (const auto deleted = path.find(" (deleted)"); deleted != path.npos) path.erase(deleted);
        if (auto there = open(path, build, other)) return there;
        std::error_code ignored;
        if (!build.empty())
            for (const auto& folder : folders_) {
                std::string unused;
                if (build.size() > 2)
                    if (auto debug = open(folder + "/.build-id/" + build.substr(0, 2) + "/" + build.substr(2) + ".debug", "", unused))
                        return debug;
                for (const auto& file : fs::directory_iterator(folder, ignored))
                    if (auto here = open(file.path(), build, unused)) return here;
            }
        problems_.insert(path + (build.empty() ? "" : " of build " + build) + ": " + other);
        return nullptr;
    }
    std::vector<std::string> folders_;
    std::map<std::pair<std::string, std::string>, std::unique_ptr<trace::Object>> found_;
    std::set<std::string> problems_;
};

void print(const trace::Place& place, const std::string& before) {
    std::string line = before + (place.function.empty() ? "?" : trace::shortened(place.function));
    if (place.inlined) line += styled(STDOUT_FILENO, Style::dim, " (inlined)");
    if (!place.file.empty()) {
        line += " at " + place.file + ":" + std::to_string(place.line);
        if (place.column) line += ":" + std::to_string(place.column);
        line += " ";
    }
    std::printf("%s\n", line.c_str());
}

/// Lines as they are, but frames as the functions and lines they stand for.
void symbolize(std::istream& in, Objects& objects) {
    static const std::regex frame(R"(^(.*?)(\S+)\+0x([0-9a-f]{1,16})(?: (?:\()?build ([0-9a-f]{4,40})\)?)?(.*)$)");
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(std::move(line));
    // A crash file has the frames twice: found by unwinding is better, when it came so far.
    const auto unwound = std::ranges::find(lines, "by unwinding");
    if (unwound != lines.end() && std::distance(unwound, lines.end()) > 1)
        lines.erase(std::ranges::find(lines, "by frame pointers"), unwound);
    for (const auto& line : lines) {
        std::smatch parts;
        if (line.size() > 4096 || !std::regex_match(line, parts, frame)) {
            std::printf("%s\n", line.c_str());
            continue;
        }
        const auto* object = objects.find(parts[2], parts[4]);
        const auto places = object ? object->resolve(std::stoull(parts[3], nullptr, 16)) : std::vector<trace::Place>();
        if (places.empty()) {
            std::printf("%s\n", line.c_str());
            continue;
        }
        const std::string before = parts[1];
        for (std::size_t i = 0; i < places.size(); ++i) print(places[i], i == 0 ? before : std::string(before.size(), ' '));
    }
}

}  // namespace

int symbolize(const SymbolizeOptions& options) {
    std::vector<std::string> folders = options.folders;
    if (const auto data = node::DataFolder::find(options.data)) folders.push_back(data->file("modules/builds"));
    folders.push_back("/usr/lib/debug");
    Objects objects(folders);
    std::vector<std::string> files = options.files;
    if (files.empty()) {  // the last crash here
        std::error_code ignored;
        auto newest = fs::file_time_type::min();
        for (const auto& file : fs::directory_iterator(options.data + "/crashes", ignored))
            if (file.path().extension() == ".crash" && file.last_write_time(ignored) > newest) {
                newest = file.last_write_time(ignored);
                files = {file.path()};
            }
        if (files.empty()) throw Error(errc::not_found, "no crash in " + options.data + "/crashes");
        say(files.front());
    }
    int code = node::exit_code::ok;
    for (const auto& name : files) {
        if (name == "-") {
            symbolize(std::cin, objects);
            continue;
        }
        std::ifstream file(name);
        if (!file || !fs::is_regular_file(name)) {
            say(name + ": cannot be read");
            code = node::exit_code::failed;
            continue;
        }
        symbolize(file, objects);
    }
    std::fflush(stdout);
    for (const auto& problem : objects.problems()) say(problem);
    return objects.problems().empty() ? code : node::exit_code::failed;
}

}  // namespace gyre::cli
