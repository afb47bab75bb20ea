#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <fstream>
#include <gyre/net/detail/block_pool.hpp>
#include <gyre/net/detail/rudp_code.hpp>
#include <gyre/net/detail/udp_port.hpp>
#include <gyre/net/rudp.hpp>
#include <sstream>

// What we hear and say is what an independent implementation does: tools/rudp.py, made from protocol/rudp.md.
namespace gyre::net {
namespace {

Bytes from_hex(const std::string& text) {
    Bytes out;
    if (text == "-") return out;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2)
        out.push_back(static_cast<std::uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
    return out;
}
std::string hex(BytesView bytes) {
    std::string out;
    for (const std::uint8_t byte : bytes)
        for (const int digit : {byte >> 4, byte & 15}) out += "0123456789abcdef"[digit];
    return out.empty() ? "-" : out;
}

/// Lines of one case, or those before the first.
struct Case {
    std::string name;
    bool list = false;
    std::vector<std::string> lines;
};
std::vector<Case> golden() {
    std::vector<Case> cases(1);
    std::ifstream file("protocol/golden/rudp.hex");
    for (std::string line; std::getline(file, line);) {
        if (line.empty() || line.starts_with('#')) continue;
        std::istringstream words(line);
        std::string word, form;
        words >> word;
        if (word != "case") {
            cases.back().lines.push_back(line);
            continue;
        }
        words >> cases.emplace_back().name >> form;
        cases.back().list = form == "list";
    }
    return cases;
}

class Player : RudpOutput {
public:
    explicit Player(const Case& c) {
        config_.acks = c.list ? AckForm::list : AckForm::bitmap;
        config_.redundancy = Redundancy::off;
        config_.cap = false;
        rudp_.emplace(config_, pool_, static_cast<RudpOutput&>(*this));
        for (const std::string& line : c.lines) {
            std::istringstream words(line);
            std::string word;
            words >> word;
            SCOPED_TRACE(c.name + ": " + line.substr(0, 120));
            if (word != "out") expect_nothing_more_sent();
            if (word != "heard") expect_nothing_more_heard();
            play(word, words);
            if (testing::Test::HasFailure()) return;
        }
        expect_nothing_more_sent();
        expect_nothing_more_heard();
    }

private:
    std::uint64_t next_number() const override { return next_; }
    std::size_t output(BytesView plain, unsigned number_bytes) override {
        sent_.push_back(std::to_string(next_++) + " " + std::to_string(number_bytes) + " " + hex(plain));
        return plain.size();
    }

    void play(const std::string& word, std::istringstream& words) {
        const auto number = [&words] {
            std::uint64_t value = 0;
            words >> value;
            return value;
        };
        const auto bytes = [&words] {
            std::string text;
            words >> text;
            return from_hex(text);
        };
        if (word == "next") {
            next_ = number();
        } else if (word == "in" || word == "refused") {
            const std::uint64_t packet = number(), before = rudp_->stats().refused;
            EXPECT_EQ(static_cast<bool>(rudp_->input(packet, bytes(), now())), word == "in");
            EXPECT_EQ(rudp_->stats().refused, before + (word == "refused"));
            EXPECT_FALSE(rudp_->broken());
        } else if (word == "ends") {
            const std::uint64_t packet = number();
            std::string code;
            words >> code;
            const auto ended = rudp_->input(packet, bytes(), now());
            ASSERT_FALSE(ended);
            EXPECT_EQ(ended.error().code(), code);
            EXPECT_TRUE(rudp_->broken());
        } else if (word == "heard") {
            Bytes message;
            EXPECT_TRUE(rudp_->receive(message));
            EXPECT_EQ(hex(message), hex(bytes()));
        } else if (word == "many") {
            const std::uint64_t first = number();
            many(first, number());
        } else if (word == "send") {
            const auto order = static_cast<Order>(number());
            const auto lane = static_cast<std::uint8_t>(number());
            EXPECT_TRUE(rudp_->send(bytes(), {order, lane, Care::balanced}, now()));
        } else if (word == "at") {
            double ms = 0;
            words >> ms;
            now_ = std::chrono::microseconds(static_cast<std::int64_t>(1000 * ms));
            (void)rudp_->update(now());
        } else if (word == "out") {
            std::string expected;
            std::getline(words >> std::ws, expected);
            ASSERT_FALSE(sent_.empty());
            EXPECT_EQ(sent_.front(), expected);
            sent_.pop_front();
        } else if (word == "left") {
            EXPECT_EQ(rudp_->queued_bytes(), number());
        } else {
            ADD_FAILURE() << "an unknown word";
        }
    }
    void many(std::uint64_t packet, std::uint64_t count) {
        for (std::uint64_t at = 0; at < count; ++packet) {
            Bytes plain{0};
            const std::uint64_t end = std::min(at + 30, count);
            for (std::uint64_t n = at; n < end; ++n)
                for (const std::uint64_t byte : {std::uint64_t{1}, std::uint64_t{0x30}, n, n >> 8, n}) plain.push_back(static_cast<std::uint8_t>(byte));
            ASSERT_TRUE(rudp_->input(packet, plain, now()));
            Bytes message;
            for (; at < end; ++at) {
                ASSERT_TRUE(rudp_->receive(message));
                ASSERT_EQ(message, Bytes{static_cast<std::uint8_t>(at)});
            }
            (void)rudp_->update(now());
        }
        sent_.clear();
    }
    TimePoint now() const { return TimePoint{} + 1h + now_; }
    void expect_nothing_more_sent() {
        EXPECT_TRUE(sent_.empty()) << sent_.front();
        sent_.clear();
    }
    void expect_nothing_more_heard() {
        Bytes message;
        EXPECT_FALSE(rudp_->receive(message)) << hex(message);
    }

    RudpConfig config_;
    BlockPool pool_;
    std::uint64_t next_ = 0;
    Duration now_{};
    std::deque<std::string> sent_;
    std::optional<Rudp> rudp_;
};

TEST(RudpGolden, each_case_is_heard_and_said_as_an_independent_implementation_does) {
    const auto cases = golden();
    ASSERT_GE(cases.size(), 20u);
    for (std::size_t i = 1; i < cases.size(); ++i) Player{cases[i]};
}

TEST(RudpGolden, sealed_packets_and_coefficients) {
    const auto all = golden();
    int sealed = 0, factors = 0;
    std::optional<secure::PacketSealer> sealer;
    std::optional<secure::PacketOpener> opener;
    std::array<std::uint8_t, udp::sealed_bytes> packet;
    for (const std::string& line : all.front().lines) {
        std::istringstream words(line);
        std::string word, key, plain, datagram;
        std::uint64_t kind = 0, number = 0, receiver = 0, segment = 0;
        unsigned bytes = 0, index = 0, coefficient = 0;
        words >> word;
        if (word == "factor") {
            ++factors;
            words >> number >> index >> segment >> coefficient;
            EXPECT_EQ(rudp::coefficient(number, index, segment), coefficient) << line;
            continue;
        }
        ASSERT_EQ(word, "sealed");
        ++sealed;
        words >> key >> kind >> number >> bytes >> receiver >> plain >> datagram;
        if (!sealer) {
            secure::Seed seed{};
            std::ranges::copy(from_hex(key), seed.begin());
            sealer.emplace(secure::Key(seed));
            opener.emplace(secure::Key(seed));
        }
        const auto write = [&](unsigned number_bytes, BytesView what) {
            const std::size_t head = udp::write_head(packet.data(), static_cast<udp::Kind>(kind), static_cast<std::uint32_t>(receiver), number_bytes);
            const std::size_t size = sealer->seal(packet, head, number_bytes, what);
            return std::pair{head, size};
        };
        while (sealer->next_number() < number) {  // those between, of which few are heard
            const bool heard = sealer->next_number() % 1000 == 0;
            const auto [head, size] = write(4, {});
            if (heard) ASSERT_TRUE(opener->open(std::span(packet).first(size), head, 4));
        }
        const auto [head, size] = write(bytes, from_hex(plain));
        EXPECT_EQ(hex(BytesView(packet).first(size)), datagram) << line;
        Bytes theirs = from_hex(datagram);
        const auto opened = opener->open(theirs, head, bytes);
        ASSERT_TRUE(opened) << line;
        EXPECT_EQ(opened->number, number);
        EXPECT_EQ(hex(opened->plain), plain);
    }
    EXPECT_EQ(sealed, 12);
    EXPECT_EQ(factors, 8);
}

TEST(RudpGolden, the_file_is_what_the_independent_implementation_writes) {
    FILE* pipe = popen("/usr/bin/python3 tools/rudp_golden.py", "r");
    ASSERT_NE(pipe, nullptr);
    std::string text;
    for (int c; (c = std::fgetc(pipe)) != EOF;) text += static_cast<char>(c);
    ASSERT_EQ(pclose(pipe), 0) << " (apt-get install python3-dissononce)";
    std::stringstream file;
    file << std::ifstream("protocol/golden/rudp.hex").rdbuf();
    EXPECT_EQ(file.str(), text) << "tools/rudp_golden.py >protocol/golden/rudp.hex";
}

}  // namespace
}  // namespace gyre::net
