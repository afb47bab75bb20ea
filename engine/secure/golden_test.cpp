#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <gyre/secure/handshake.hpp>
#include <gyre/secure/packets.hpp>
#include <gyre/secure/records.hpp>
#include <map>
#include <sstream>

// Our bytes are those of an independent Noise: tools/noise_peer.py, with Debian's python3-dissononce.
namespace gyre::secure {
namespace {

constexpr const char* needs = " (apt-get install python3-dissononce)";

std::string hex(BytesView bytes) {
    std::string out;
    for (const std::uint8_t byte : bytes)
        for (const int digit : {byte >> 4, byte & 15}) out += "0123456789abcdef"[digit];
    return out.empty() ? "-" : out;
}
Bytes from_hex(const std::string& text) {
    Bytes out;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2)
        out.push_back(static_cast<std::uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
    return out;
}
std::array<std::uint8_t, 32> bytes_32(const Bytes& bytes) {
    std::array<std::uint8_t, 32> out{};
    if (bytes.size() == out.size()) std::copy(bytes.begin(), bytes.end(), out.begin());
    else ADD_FAILURE() << bytes.size() << " bytes, expected 32";
    return out;
}

/// "nk first" and what its line has.
std::map<std::string, Bytes> golden() {
    std::map<std::string, Bytes> values;
    std::ifstream file("protocol/golden/handshake.hex");
    for (std::string line; std::getline(file, line);)
        if (!line.starts_with('#')) values[line.substr(0, line.rfind(' '))] = from_hex(line.substr(line.rfind(' ') + 1));
    return values;
}

const Bytes packet_head{0x10, 0x20, 0x30};
Bytes packet_of(PacketSealer& sealer, unsigned number_bytes, BytesView plain) {
    Bytes packet(PacketSealer::size(packet_head.size(), number_bytes, plain.size()));
    std::copy(packet_head.begin(), packet_head.end(), packet.begin());
    sealer.seal(packet, packet_head.size(), number_bytes, plain);
    return packet;
}
Bytes record_of(RecordSealer& sealer, BytesView plain, RecordKind kind = RecordKind::data) {
    Bytes record(record_head_bytes);
    append(record, plain);
    sealer.seal_in_place(kind, record);
    return record;
}

/// What is said of one handshake.
struct Golden {
    std::string pattern;
    std::map<std::string, Bytes> all = golden();
    const Bytes& operator[](const std::string& name) {
        const Bytes& value = all[pattern + " " + name];
        EXPECT_FALSE(value.empty() && name != "client_payload") << pattern << " " << name;
        return value;
    }
    ClientHandshake client() {
        const Seed fresh = bytes_32((*this)["client_ephemeral"]);
        if (pattern == "nk") return {bytes_32((*this)["server_public"]), fresh};
        return {Key(bytes_32((*this)["shared"])), fresh};
    }
    ServerHandshake server() {
        const Seed fresh = bytes_32((*this)["server_ephemeral"]);
        if (pattern == "nk") return {Identity(Key(bytes_32((*this)["server_secret"]))), fresh};
        return {Key(bytes_32((*this)["shared"])), fresh};
    }
};

class HandshakeGolden : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Both, HandshakeGolden, testing::Values("nk", "psk"), [](const auto& info) { return info.param; });

TEST_P(HandshakeGolden, messages_and_keys_are_those_of_an_independent_noise) {
    Golden golden{GetParam()};
    auto client = golden.client();
    auto server = golden.server();
    const Bytes first = client.first(golden["client_payload"]);
    EXPECT_EQ(hex(first), hex(golden["first"]));
    EXPECT_EQ(server.first(first).value(), golden["client_payload"]);
    const Bytes second = server.second(golden["server_payload"]);
    EXPECT_EQ(hex(second), hex(golden["second"]));
    EXPECT_EQ(client.second(second).value(), golden["server_payload"]);
    const Secrets secrets = client.secrets();
    EXPECT_EQ(hex(secrets.send.bytes()), hex(golden["client_key"]));
    EXPECT_EQ(hex(secrets.receive.bytes()), hex(golden["server_key"]));
    EXPECT_EQ(hex(secrets.transcript), hex(golden["transcript"]));

    auto refusing = golden.server();
    ASSERT_TRUE(refusing.first(first));
    EXPECT_EQ(hex(refusing.refuse(Error("maintenance", "back at noon"))), hex(golden["second_refused"]));
}

TEST_P(HandshakeGolden, records_across_rekeys) {
    Golden golden{GetParam()};
    const Key key(bytes_32(golden["client_key"]));
    RecordSealer sealer(key);
    RecordOpener opener(key);
    int met = 0;
    for (std::uint64_t number = 0; number <= 2 * records_per_key + 1; ++number) {
        const bool close = number == 2 * records_per_key + 1;
        const Bytes plain = number == 0 || close ? Bytes{} : number == 2 ? Bytes(300) : Bytes{'h', 'e', 'l', 'l', 'o'};
        Bytes record = record_of(sealer, plain, close ? RecordKind::close : RecordKind::data);
        const auto name = GetParam() + std::string(" record_") + std::to_string(number) + (close ? "_close" : "");
        if (const auto at = golden.all.find(name); at != golden.all.end()) {
            ++met;
            EXPECT_EQ(hex(record), hex(at->second)) << name;
        }
        const auto opened = opener.open(record);
        ASSERT_TRUE(opened) << number;
        ASSERT_TRUE(std::ranges::equal(opened->plain, plain));
    }
    EXPECT_EQ(met, 7);
}

TEST_P(HandshakeGolden, packets_across_an_epoch) {
    Golden golden{GetParam()};
    const Key key(bytes_32(golden["client_key"]));
    PacketSealer sealer(key);
    PacketOpener opener(key);
    const std::map<std::uint64_t, unsigned> sizes{{0, 1}, {1, 2}, {2, 3}, {packets_per_key - 1, 4},
                                                  {packets_per_key, 4}, {packets_per_key + 1, 2}};
    for (std::uint64_t number = 0; number <= packets_per_key + 1; ++number) {
        const auto at = sizes.find(number);
        Bytes packet = packet_of(sealer, at == sizes.end() ? 4 : at->second, as_bytes("tick"));
        if (at == sizes.end()) continue;
        EXPECT_EQ(hex(packet), hex(golden["packet_" + std::to_string(number) + "_" + std::to_string(at->second)]));
        const auto opened = opener.open(packet, packet_head.size(), at->second);
        ASSERT_TRUE(opened) << number;
        EXPECT_EQ(opened->number, number);
        EXPECT_EQ(as_text(opened->plain), "tick");
    }
}

TEST(HandshakeGolden, a_refusal_in_the_clear_and_the_key_of_nodes) {
    auto all = golden();
    EXPECT_EQ(hex(clear_refusal(Error(errc::update_required, "get the new one"))), hex(all["clear refusal"]));
    EXPECT_EQ(hex(Key(Seed{}).derive("node link 2").bytes()), hex(all["key derived"]));
    EXPECT_EQ(hex(Identity(Key(bytes_32(all["nk server_secret"]))).public_key()), hex(all["nk server_public"]));
}

/// A program that is spoken with by lines of hex.
class Peer {
public:
    explicit Peer(std::vector<std::string> arguments) {
        int in[2], out[2];
        EXPECT_EQ(pipe(in) | pipe(out), 0);
        child_ = fork();
        if (child_ == 0) {
            dup2(in[0], 0), dup2(out[1], 1);
            for (const int end : {in[0], in[1], out[0], out[1]}) ::close(end);
            std::vector<char*> words;
            for (auto& argument : arguments) words.push_back(argument.data());
            words.push_back(nullptr);
            execv(words[0], words.data());
            _exit(127);
        }
        ::close(in[0]), ::close(out[1]);
        to_ = fdopen(in[1], "w"), from_ = fdopen(out[0], "r");
    }
    ~Peer() {
        std::fclose(to_), std::fclose(from_);
        int status = 0;
        waitpid(child_, &status, 0);
        EXPECT_EQ(status, 0) << "tools/noise_peer.py" << needs;
    }
    void say(BytesView bytes) {
        std::fprintf(to_, "%s\n", hex(bytes).c_str());
        std::fflush(to_);
    }
    Bytes hear() {
        std::string line;
        for (int c; (c = std::fgetc(from_)) != EOF && c != '\n';) line += static_cast<char>(c);
        EXPECT_FALSE(line.empty()) << "the other end went" << needs;
        return line == "-" ? Bytes{} : from_hex(line);
    }

private:
    pid_t child_ = -1;
    std::FILE *to_ = nullptr, *from_ = nullptr;
};

TEST(HandshakeGolden, the_file_is_what_the_independent_noise_writes) {
    FILE* pipe = popen("/usr/bin/python3 tools/noise_peer.py golden", "r");
    ASSERT_NE(pipe, nullptr);
    std::string text;
    for (int c; (c = std::fgetc(pipe)) != EOF;) text += static_cast<char>(c);
    ASSERT_EQ(pclose(pipe), 0) << needs;
    std::stringstream file;
    file << std::ifstream("protocol/golden/handshake.hex").rdbuf();
    EXPECT_EQ(file.str(), text) << "tools/noise_peer.py golden >protocol/golden/handshake.hex";
}

/// After the handshake: three records and a packet each way, and both hear what the other said.
void exchange(Peer& peer, const Secrets& secrets, std::string_view theirs) {
    EXPECT_EQ(hex(peer.hear()), hex(secrets.transcript));
    RecordSealer sealer(secrets.send);
    RecordOpener opener(secrets.receive);
    const Bytes plains[] = {{}, Bytes{'f', 'r', 'o', 'm', ' ', 'P', 'y', 't', 'h', 'o', 'n'}, Bytes(16'384)};
    for (const Bytes& plain : plains) {
        Bytes record = peer.hear();
        ASSERT_GE(record.size(), record_head_bytes);
        EXPECT_EQ(opener.size(BytesView(record).first(record_head_bytes)).value(), record.size());
        const auto opened = opener.open(record);
        ASSERT_TRUE(opened);
        EXPECT_TRUE(std::ranges::equal(opened->plain, plain)) << theirs;
    }
    Bytes packet = peer.hear();
    PacketOpener packets(secrets.receive);
    const auto opened = packets.open(packet, packet_head.size(), 2);
    ASSERT_TRUE(opened);
    EXPECT_EQ(as_text(opened->plain), "a packet from Python");
    for (const Bytes& plain : plains) {
        peer.say(record_of(sealer, plain));
        EXPECT_EQ(peer.hear(), plain);
    }
    PacketSealer out(secrets.send);
    peer.say(packet_of(out, 2, as_bytes("a packet")));
    EXPECT_EQ(as_text(peer.hear()), "a packet");
}

Seed seed_of(std::uint8_t value) {
    Seed seed;
    seed.fill(value);
    return seed;
}

TEST_P(HandshakeGolden, an_independent_client_and_our_server) {
    const Identity identity{Key(seed_of(7))};
    const Key shared{seed_of(8)};
    const bool nk = GetParam() == std::string("nk");
    Peer peer({"/usr/bin/python3", "tools/noise_peer.py", "client", GetParam(), hex(nk ? BytesView(identity.public_key()) : shared.bytes())});
    ServerHandshake server = nk ? ServerHandshake(identity, seed_of(9)) : ServerHandshake(shared, seed_of(9));
    const auto heard = server.first(peer.hear());
    ASSERT_TRUE(heard) << heard.error().what();
    EXPECT_EQ(as_text(*heard), "a client in Python");
    peer.say(server.second(as_bytes("welcome")));
    EXPECT_EQ(as_text(peer.hear()), "welcome");
    exchange(peer, server.secrets(), "client");
}

TEST_P(HandshakeGolden, our_client_and_an_independent_server) {
    const Identity identity{Key(seed_of(7))};
    const Key shared{seed_of(8)};
    const bool nk = GetParam() == std::string("nk");
    Peer peer({"/usr/bin/python3", "tools/noise_peer.py", "server", GetParam(), hex(nk ? identity.secret().bytes() : shared.bytes())});
    ClientHandshake client = nk ? ClientHandshake(identity.public_key(), seed_of(9)) : ClientHandshake(shared, seed_of(9));
    peer.say(client.first(as_bytes("hello")));
    const auto heard = client.second(peer.hear());
    ASSERT_TRUE(heard) << heard.error().what();
    EXPECT_EQ(as_text(*heard), "a server in Python");
    EXPECT_EQ(as_text(peer.hear()), "hello");
    exchange(peer, client.secrets(), "server");
}

}  // namespace
}  // namespace gyre::secure
