#include "parser.hpp"

#include <gyre/config/secrets.hpp>

#include "characters.hpp"
#include "scanner.hpp"

namespace gyre::config::detail {
namespace {

/// "$HOST$", "${env:X}": tells nothing, so it may be shown.
bool is_reference(std::string_view text) {
    return text.size() > 2 && text.starts_with('$') && (text.ends_with('$') || text.ends_with('}'));
}

class Parser : Scanner {
public:
    Parser(Source& source, Faults& syntax, Faults& repeated, ParseOptions options)
        : Scanner(source, syntax, options.plain), repeated_(repeated), options_(options) {}

    Node parse() {
        Node root;
        if (text_.starts_with("\xff\xfe") || text_.starts_with("\xfe\xff")) {
            fault(0, 2, "this is UTF-16; save it as UTF-8");
            return root;
        }
        skip_space();
        if (at_end()) {
            if (!stopped_) fault_here(options_.plain ? "there is no value" : "there is nothing; the least is {}");
            return root;
        }
        if (!options_.plain && at() != '{') {
            root.kind = Kind::end;
            fault_here("must be an object: { ... }, found " + found());
            return root;
        }
        value(root, options_.depth);
        skip_space();
        if (!at_end() && (faults_.empty() || at() == '}' || at() == ']'))
            fault_here(at() == '}' || at() == ']' ? "this " + found() + " closes nothing"
                                                  : "expected the end, found " + found());
        return root;
    }

private:
    /// An object or list that is being read.
    struct Open {
        std::size_t at;
        bool is_map;
        const Open* outer;
    };

    void value(Node& node, std::uint32_t depth) {
        node.place = place(pos_, 1);
        if (options_.nodes-- == 0) {
            fault_here("more than " + std::to_string(nodes_max) + " values");
            return stop();
        }
        const char c = at();
        const std::size_t begin = pos_;
        if (c == '{' || c == '[') {
            if (depth == 0) {
                fault_here("nested deeper than " + std::to_string(depth_max));
                return stop();
            }
            Open open{pos_++, c == '{', open_};
            open_ = &open;
            node.kind = open.is_map ? Kind::map : Kind::array;
            open.is_map ? object(node, depth - 1) : list(node, depth - 1);
            open_ = open.outer;
        } else if (c == '"') {
            node.kind = Kind::text;
            told_ |= !scan_text(node.text);
            if (has_credentials(node.text)) hide(begin, pos_);
        } else if (c == '\'') {
            node.kind = Kind::end;
            scan_single_quoted(node.text);
        } else if ((c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.') {
            scan_number(node);
            told_ |= node.kind == Kind::end;
        } else if (at_word()) {
            scan_word(node);
            told_ |= node.kind == Kind::end;
        } else {
            node.kind = Kind::end;
            no_value();
        }
        end_ = pos_;
        node.place.length = static_cast<std::uint32_t>(pos_ - begin);
        after_secret_ = hidden_;
        if (hidden_ && node.kind == Kind::end)
            hide(begin, std::max(pos_, std::min(text_.find('\n', begin), text_.size())));
        else if (hidden_ && !is_reference(node.text))
            hide(begin, pos_);
    }

    void hide(std::size_t begin, std::size_t end) { source_.secrets[static_cast<std::uint32_t>(begin)] = static_cast<std::uint32_t>(end - begin); }

    void no_value() {
        fault_here(at_end() ? "expected a value, found the end" : "expected a value, found " + found());
        told_ = true;
        if (at() != ',' && at() != '}' && at() != ']') recover();
    }

    void object(Node& node, std::uint32_t depth) {
        while (!stopped_) {
            skip_space();
            if (closes()) return;
            const std::size_t begin = pos_;
            std::string key;
            if (!read_key(key)) {
                if (!comma()) return;
                continue;
            }
            const Place key_place = place(begin, pos_ - begin);
            const Path path{path_, &key, 0};
            path_ = &path;
            if (read_colon(key)) {
                const bool was_hidden = hidden_;
                hidden_ |= is_secret_name(key);
                Node child;
                value(child, depth);
                hidden_ = was_hidden;
                child.key_place = key_place;
                if (const Node* first = node.find(key)) {
                    repeated_.add({key_place, path_text(), "given twice, first at line " + line(first->key_place.offset, repeated_)});
                } else {
                    child.key = key;
                    node.add(std::move(child));
                }
            }
            path_ = path.outer;
            if (!comma()) return;
        }
    }

    void list(Node& node, std::uint32_t depth) {
        while (!stopped_) {
            skip_space();
            if (closes()) return;
            if (at() == ',') {
                fault_here("expected a value, found ','");
                ++pos_;
                continue;
            }
            const Path path{path_, nullptr, node.children.size()};
            path_ = &path;
            value(node.children.emplace_back(), depth);
            path_ = path.outer;
            if (!comma()) return;
        }
    }

    /// False: there is none, which was told.
    bool read_key(std::string& key) {
        const std::size_t begin = pos_;
        if (at() == '"') {
            if (scan_text(key)) return true;
            return told_ = true, false;
        }
        if (at() == '\'') {
            scan_single_quoted(key);
            return true;
        }
        if (at_word()) {
            key = peek_word();
            pos_ += key.size();
            fault(begin, key.size(), "a key needs double quotes: \"" + key.substr(0, 60) + "\"");
            return true;
        }
        fault_here("expected a key in double quotes, found " + found());
        if (at() != ',') recover();
        return told_ = true, false;
    }

    bool read_colon(const std::string& key) {
        const std::size_t begin = pos_;
        skip_space();
        if (at() == ':') {
            ++pos_;
            skip_space();
            return true;
        }
        if (at() == '=') {
            fault_here("expected ':' after a key, found '='");
            pos_ += at(1) == '>' ? 2 : 1;
            skip_space();
            return true;
        }
        fault(begin, 1, "expected ':' after the key \"" + key.substr(0, 60) + "\", found " + found());
        if (at() == ',' || at() == '}' || at() == ']' || at_end()) return told_ = true, false;
        return true;  // the colon was forgotten
    }

    /// After a value. False: the object or list has ended.
    bool comma() {
        if (stopped_) return false;
        const std::size_t end = std::max(end_, pos_);
        skip_space();
        if (at() == ',') {
            told_ = false;
            const std::size_t at_comma = pos_++;
            skip_space();
            if (plain_ && (at() == '}' || at() == ']')) fault(at_comma, 1, "a comma too many");
            return true;
        }
        if (at() == '}' || at() == ']' || at_end()) return !closes();
        const bool new_line = text_.substr(end, pos_ - end).find('\n') != text_.npos;
        if (std::exchange(told_, false)) {
            if (!new_line) recover();
            if (at() == ',') ++pos_;
            return true;
        }
        if (at() == '"' || at() == '\'' || at() == '{' || at() == '[' || (new_line && at_word())) {
            fault(end, 1, "expected ',' after this value");
            return true;
        }
        if (at() == ';') {
            fault_here("expected ',', found ';'");
            ++pos_;
            return true;
        }
        const bool was_hidden = std::exchange(hidden_, hidden_ || (after_secret_ && !new_line));
        fault_here(std::string("expected ',' or '") + (open_->is_map ? "}" : "]") + "', found " + found());
        const std::size_t begin = pos_;
        recover();
        if (hidden_) hide(begin, std::min(text_.find('\n', begin), text_.size()));
        hidden_ = was_hidden;
        if (at() == ',') ++pos_;
        told_ = true;
        return true;
    }

    /// The object or list ends here.
    bool closes() {
        if (at_end()) {
            if (!stopped_) never_closed();
            stop();
            return true;
        }
        const char c = at();
        if (c != '}' && c != ']') return false;
        const bool fits = (c == '}') == open_->is_map;
        told_ = false;
        if (fits) {
            note_indent();
            ++pos_;
            end_ = pos_;
            return true;
        }
        const std::string opened = std::string(open_->is_map ? "'{'" : "'['");
        bool outer_fits = false;
        for (const Open* outer = open_->outer; outer; outer = outer->outer) outer_fits |= (c == '}') == outer->is_map;
        if (outer_fits) {
            fault(open_->at, 1, "this " + opened + " is not closed before the " + found() + " of line " + line(pos_));
            told_ = true;
        } else {
            fault_here("found " + found() + ", but the " + opened + " of line " + line(open_->at) +
                       " ends with " + (open_->is_map ? "'}'" : "']'"));
            ++pos_;
        }
        return true;
    }

    std::string line(std::size_t at) const { return line(at, faults_); }
    std::string line(std::size_t at, const Faults& faults) const {  // counted only when somebody reads it
        return faults.has_room() ? std::to_string(source_.at(static_cast<std::uint32_t>(at)).line) : "";
    }

    /// A closing bracket that does not stand below the line of its opening one.
    void note_indent() {
        if (suspect_ != text_.npos || options_.plain) return;
        std::size_t spaces = 0;
        while (spaces < pos_ && (text_[pos_ - spaces - 1] == ' ' || text_[pos_ - spaces - 1] == '\t')) ++spaces;
        if (spaces < pos_ && text_[pos_ - spaces - 1] != '\n') return;
        std::size_t begin = open_->at;
        while (begin > 0 && text_[begin - 1] != '\n') --begin;
        if (text_.find_first_not_of(" \t", begin) != begin + spaces) suspect_ = open_->at, suspect_end_ = pos_;
    }
    void never_closed() {
        std::string message = std::string("this ") + text_[open_->at] + " is never closed";
        message.replace(5, 1, std::string("'") + text_[open_->at] + "'");
        if (suspect_ != text_.npos)
            message += "; or is it the one of line " + line(suspect_) + ", which ends at line " + line(suspect_end_) + "?";
        fault(open_->at, 1, message);
    }

    /// To where the next key or value may begin.
    void recover() {
        for (; !at_end(); ++pos_) {
            const char c = at();
            if (c == '\n' || c == ',' || c == '}' || c == ']') return;
            if (c == '"') {
                for (++pos_; !at_end() && at() != '"' && at() != '\n'; ++pos_) pos_ += at() == '\\' && at(1) != '\n';
                if (at_end() || at() == '\n') return;
            }
        }
    }

    Faults& repeated_;
    ParseOptions options_;
    const Open* open_ = nullptr;
    std::size_t end_ = 0;    // of the last value
    bool after_secret_ = false;
    bool told_ = false;      // something was wrong here: what follows from it is not told too
    std::size_t suspect_ = std::string_view::npos, suspect_end_ = 0;
};

}  // namespace

Node parse(Source& source, Faults& syntax, Faults& repeated, ParseOptions options) {
    return Parser(source, syntax, repeated, options).parse();
}

}  // namespace gyre::config::detail
