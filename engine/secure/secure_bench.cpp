#include <benchmark/benchmark.h>
#include <openssl/evp.h>
#include <sodium.h>

#include <cstring>
#include <ctime>
#include <gyre/secure/cookie.hpp>
#include <gyre/secure/handshake.hpp>
#include <gyre/secure/packets.hpp>
#include <gyre/secure/records.hpp>
#include <vector>

using namespace gyre;
using namespace gyre::secure;
namespace {

Seed seed_of(std::uint64_t value) {
    Seed seed{};
    std::memcpy(seed.data(), &value, sizeof value);
    seed.back() = 1;
    return seed;
}
const Key key{seed_of(5)};
constexpr std::size_t record_plain = 512;

/// libcrypto called as an expert would for one record, the context kept: nonce, head, text, tag.
struct BareEvp {
    EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
    std::uint64_t number = 0;
    std::uint8_t nonce[12] = {};
    BareEvp(const EVP_CIPHER* cipher, bool seal) { EVP_CipherInit_ex(context, cipher, nullptr, key.bytes().data(), nullptr, seal); }
    BareEvp(const BareEvp&) = delete;
    BareEvp& operator=(const BareEvp&) = delete;
    ~BareEvp() { EVP_CIPHER_CTX_free(context); }
    void next_nonce() {
        const std::uint64_t big = __builtin_bswap64(number++);
        std::memcpy(nonce + 4, &big, sizeof big);
    }
    bool seal(const std::uint8_t* head, int head_size, const std::uint8_t* plain, int size, std::uint8_t* out) {
        next_nonce();
        int n = 0;
        return EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, nonce) == 1 &&
               EVP_EncryptUpdate(context, nullptr, &n, head, head_size) == 1 &&
               EVP_EncryptUpdate(context, out, &n, plain, size) == 1 &&
               EVP_EncryptFinal_ex(context, out + size, &n) == 1 &&
               EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, out + size) == 1;
    }
    bool open(const std::uint8_t* head, int head_size, std::uint8_t* sealed, int size, std::uint8_t* out) {
        next_nonce();
        int n = 0;
        return EVP_DecryptInit_ex(context, nullptr, nullptr, nullptr, nonce) == 1 &&
               EVP_DecryptUpdate(context, nullptr, &n, head, head_size) == 1 &&
               EVP_DecryptUpdate(context, out, &n, sealed, size) == 1 &&
               EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, 16, sealed + size) == 1 &&
               EVP_DecryptFinal_ex(context, out + size, &n) == 1;
    }
};

// ---- one record of 512 bytes, in place. Time is that of the thread: pairs stay comparable on a busy machine.

constexpr std::size_t batch = 1024;

/// Seconds this thread has run.
double thread_seconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}
/// prepare() is not timed; each(i) is, for all i of a batch.
void in_batches(benchmark::State& state, auto prepare, auto each) {
    while (state.KeepRunningBatch(batch)) {
        prepare();
        const double begin = thread_seconds();
        for (std::size_t i = 0; i < batch; ++i)
            if (!each(i)) state.SkipWithError("it failed");
        state.SetIterationTime(thread_seconds() - begin);
    }
}

void seal_512(benchmark::State& state) {
    RecordSealer sealer(key);
    Bytes record;
    record.reserve(record_head_bytes + record_plain + Aead::tag_bytes);
    in_batches(state, [] {}, [&](std::size_t) {
        record.resize(record_head_bytes + record_plain);
        sealer.seal_in_place(RecordKind::data, record);
        return true;
    });
}
void seal_512_libcrypto(benchmark::State& state) {
    BareEvp bare(EVP_aes_256_gcm(), true);
    Bytes record(record_head_bytes + record_plain + Aead::tag_bytes);
    std::uint8_t* const body = record.data() + record_head_bytes;
    in_batches(state, [] {}, [&](std::size_t) { return bare.seal(record.data(), record_head_bytes, body, record_plain, body); });
}

struct Records {
    RecordSealer sealer{key};
    std::vector<Bytes> records{batch};
    void seal() {
        for (Bytes& record : records) {
            record.assign(record_head_bytes + record_plain, 7);
            sealer.seal_in_place(RecordKind::data, record);
        }
    }
};
void open_512(benchmark::State& state) {
    Records sealed;
    RecordOpener opener(key);
    in_batches(state, [&] { sealed.seal(); }, [&](std::size_t i) { return opener.open(sealed.records[i]).ok(); });
}
void open_512_libcrypto(benchmark::State& state) {
    Records sealed;
    BareEvp bare(EVP_aes_256_gcm(), false);
    const auto prepare = [&] {
        if (bare.number % records_per_key == 0) {  // the bare one does not rekey
            sealed.sealer = RecordSealer(key);
            bare.number = 0;
        }
        sealed.seal();
    };
    in_batches(state, prepare, [&](std::size_t i) {
        std::uint8_t* const record = sealed.records[i].data();
        return bare.open(record, record_head_bytes, record + record_head_bytes, record_plain, record + record_head_bytes);
    });
}

// ---- one datagram of 1,200 bytes

constexpr std::size_t packet_head = 5, packet_plain = 1150;
struct Packets {
    PacketSealer sealer{key};
    Bytes plain = Bytes(packet_plain, 7);
    std::vector<Bytes> packets{batch, Bytes(PacketSealer::size(packet_head, 4, packet_plain))};
    void seal(std::size_t i) { sealer.seal(packets[i], packet_head, 4, plain); }
};
void packet_seal_1200(benchmark::State& state) {
    Packets sealed;
    in_batches(state, [] {}, [&](std::size_t i) { return sealed.seal(i), true; });
}
void packet_open_1200(benchmark::State& state) {
    Packets sealed;
    PacketOpener opener(key);
    const auto prepare = [&] {
        for (std::size_t i = 0; i < batch; ++i) sealed.seal(i);
    };
    in_batches(state, prepare, [&](std::size_t i) { return opener.open(sealed.packets[i], packet_head, 4).ok(); });
}
/// What a forger gets at most out of us: a small packet whose number makes the opener try the next key.
void packet_forged_next_epoch(benchmark::State& state) {
    PacketOpener opener(key);
    Bytes packet(packet_head + 4 + 16);
    const std::uint32_t number = packets_per_key + 5;
    for (auto _ : state) {
        std::memcpy(packet.data() + packet_head, &number, sizeof number);
        benchmark::DoNotOptimize(opener.open(packet, packet_head, 4).ok());
    }
}
void packet_forged(benchmark::State& state) {
    PacketOpener opener(key);
    Bytes packet(packet_head + 4 + 16);
    for (auto _ : state) benchmark::DoNotOptimize(opener.open(packet, packet_head, 4).ok());
}

void paired(benchmark::internal::Benchmark* run) { run->Repetitions(7)->Iterations(128 * batch)->UseManualTime(); }
BENCHMARK(seal_512)->Apply(paired);
BENCHMARK(seal_512_libcrypto)->Name("seal_512/peer:libcrypto")->Apply(paired);
BENCHMARK(open_512)->Apply(paired);
BENCHMARK(open_512_libcrypto)->Name("open_512/peer:libcrypto")->Apply(paired);
BENCHMARK(packet_seal_1200)->Apply(paired);
BENCHMARK(packet_open_1200)->Apply(paired);
BENCHMARK(packet_forged);
BENCHMARK(packet_forged_next_epoch);

// ---- what was chosen from: sealing so many bytes, 4 associated, the context kept

void aead_libcrypto(benchmark::State& state, const EVP_CIPHER* cipher) {
    BareEvp bare(cipher, true);
    const int size = static_cast<int>(state.range(0));
    Bytes bytes(static_cast<std::size_t>(size) + 16);
    const std::uint8_t head[4] = {1, 2, 3, 4};
    in_batches(state, [] {}, [&](std::size_t) { return bare.seal(head, 4, bytes.data(), size, bytes.data()); });
}
void aead_aes256gcm_libsodium(benchmark::State& state) {
    if (sodium_init() < 0 || !crypto_aead_aes256gcm_is_available()) return state.SkipWithError("no AES-NI");
    crypto_aead_aes256gcm_state context;
    crypto_aead_aes256gcm_beforenm(&context, key.bytes().data());
    const auto size = static_cast<std::size_t>(state.range(0));
    Bytes bytes(size + 16);
    const std::uint8_t head[4] = {1, 2, 3, 4};
    std::uint8_t nonce[12] = {};
    in_batches(state, [] {}, [&](std::size_t) {
        sodium_increment(nonce, sizeof nonce);
        return crypto_aead_aes256gcm_encrypt_afternm(bytes.data(), nullptr, bytes.data(), size, head, 4, nullptr, nonce, &context) == 0;
    });
}
void aead_chacha20poly1305_libsodium(benchmark::State& state) {
    if (sodium_init() < 0) return state.SkipWithError("libsodium does not start");
    const auto size = static_cast<std::size_t>(state.range(0));
    Bytes bytes(size + 16);
    const std::uint8_t head[4] = {1, 2, 3, 4};
    std::uint8_t nonce[12] = {};
    in_batches(state, [] {}, [&](std::size_t) {
        sodium_increment(nonce, sizeof nonce);
        return crypto_aead_chacha20poly1305_ietf_encrypt(bytes.data(), nullptr, bytes.data(), size, head, 4, nullptr, nonce, key.bytes().data()) == 0;
    });
}
void sizes(benchmark::internal::Benchmark* run) {
    for (const int size : {64, 512, 1200, 8192}) run->Arg(size);
    run->Repetitions(3)->Iterations(64 * batch)->UseManualTime();
}
BENCHMARK_CAPTURE(aead_libcrypto, aes256gcm, EVP_aes_256_gcm())->Apply(sizes);
BENCHMARK_CAPTURE(aead_libcrypto, chacha20poly1305, EVP_chacha20_poly1305())->Apply(sizes);
BENCHMARK(aead_aes256gcm_libsodium)->Apply(sizes);
BENCHMARK(aead_chacha20poly1305_libsodium)->Apply(sizes);

// ---- handshakes

const Identity identity{Key(seed_of(7))};

/// All that a server does for one client: both messages, and the contexts of its two directions.
void handshake_server(benchmark::State& state) {
    std::uint64_t fresh = 1;
    const Bytes payload(64, 7);
    const Bytes first = ClientHandshake(identity.public_key(), seed_of(1)).first(payload);
    in_batches(state, [] {}, [&](std::size_t) {
        ServerHandshake server(identity, seed_of(++fresh));
        if (!server.first(first)) return false;
        benchmark::DoNotOptimize(server.second(payload).data());
        const Secrets secrets = server.secrets();
        RecordSealer sealer(secrets.send);
        RecordOpener opener(secrets.receive);
        benchmark::DoNotOptimize(&sealer);
        benchmark::DoNotOptimize(&opener);
        return true;
    });
}
/// The arithmetic alone: one key pair and two shared secrets.
void handshake_server_libsodium(benchmark::State& state) {
    std::uint64_t fresh = 1;
    PublicKey own, shared;
    in_batches(state, [] {}, [&](std::size_t) {
        const Seed secret = seed_of(++fresh);
        crypto_scalarmult_base(own.data(), secret.data());
        return crypto_scalarmult(shared.data(), identity.secret().bytes().data(), own.data()) == 0 &&
               crypto_scalarmult(shared.data(), secret.data(), own.data()) == 0;
    });
}
void handshake_both(benchmark::State& state, const auto& client_knows, const auto& server_knows) {
    std::uint64_t fresh = 1;
    const Bytes payload(64, 7);
    for (auto _ : state) {
        ClientHandshake client(client_knows, seed_of(++fresh));
        ServerHandshake server(server_knows, seed_of(++fresh));
        if (!server.first(client.first(payload)) || !client.second(server.second(payload))) state.SkipWithError("handshake");
        benchmark::DoNotOptimize(client.secrets().transcript);
        benchmark::DoNotOptimize(server.secrets().transcript);
    }
}
void handshake_both_nk(benchmark::State& state) { handshake_both(state, identity.public_key(), identity); }
void handshake_both_psk(benchmark::State& state) { handshake_both(state, key, key); }
void paired_slow(benchmark::internal::Benchmark* run) { run->Repetitions(7)->Iterations(batch)->UseManualTime(); }
BENCHMARK(handshake_server)->Apply(paired_slow);
BENCHMARK(handshake_server_libsodium)->Name("handshake_server/peer:libsodium")->Apply(paired_slow);
BENCHMARK(handshake_both_nk);
BENCHMARK(handshake_both_psk);

void cookie_make(benchmark::State& state) {
    const CookieJar jar(seed_of(1));
    const Bytes bound(44, 7);
    std::uint64_t address = 0;
    for (auto _ : state) benchmark::DoNotOptimize(jar.make(++address, bound, TimePoint{100s}));
}
void cookie_check(benchmark::State& state) {
    const CookieJar jar(seed_of(1));
    const Bytes bound(44, 7);
    const Cookie cookie = jar.make(1, bound, TimePoint{100s});
    for (auto _ : state) benchmark::DoNotOptimize(jar.check(cookie, 1, bound, TimePoint{100s}));
}
BENCHMARK(cookie_make);
BENCHMARK(cookie_check);

}  // namespace
