#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <gyre/secure/key.hpp>
#include <gyre/secure/mac.hpp>
#include <gyre/secure/password.hpp>
#include <gyre/secure/token.hpp>
#include <memory>

namespace gyre::secure {
namespace {

Seed seed_of(std::uint8_t value) {
    Seed seed;
    seed.fill(value);
    return seed;
}

std::string hex(BytesView bytes) {
    std::string text;
    for (const auto byte : bytes)
        for (const int nibble : {byte >> 4, byte & 15}) text += "0123456789abcdef"[nibble];
    return text;
}

class KeyFile : public testing::Test {
protected:
    void SetUp() override {
        char folder[] = "/tmp/gyre-secure-XXXXXX";
        ASSERT_NE(::mkdtemp(folder), nullptr);
        folder_ = folder;
        path_ = folder_ + "/cluster.key";
    }
    void TearDown() override {
        ::unlink(path_.c_str());
        EXPECT_EQ(::rmdir(folder_.c_str()), 0) << "something was left beside the key";
    }
    void write(const std::string& bytes, mode_t mode) {
        std::ofstream(path_, std::ios::binary) << bytes;
        ::chmod(path_.c_str(), mode);
    }
    std::string folder_, path_;
};

TEST_F(KeyFile, is_created_once_with_mode_0600) {
    const auto first = load_or_create_key(path_, seed_of(1));
    const auto second = load_or_create_key(path_, seed_of(2));
    ASSERT_TRUE(first.ok() && second.ok());
    EXPECT_EQ(*first, Key(seed_of(1)));
    EXPECT_EQ(*second, Key(seed_of(1)));
    struct stat status {};
    ASSERT_EQ(::stat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST_F(KeyFile, that_others_may_read_is_refused_by_name) {
    write(std::string(32, 'k'), 0640);
    const auto key = load_or_create_key(path_, seed_of(1));
    ASSERT_FALSE(key.ok());
    EXPECT_TRUE(key.error().is(errc::bad_config));
    EXPECT_NE(key.error().message().find(path_ + " has mode 0640"), std::string::npos);
}

TEST_F(KeyFile, of_another_size_is_refused) {
    for (const std::size_t size : {0u, 31u, 33u, 1000u}) {
        write(std::string(size, 'k'), 0600);
        EXPECT_FALSE(load_or_create_key(path_, seed_of(1)).ok()) << size;
    }
}

TEST_F(KeyFile, in_a_missing_folder_is_an_error) {
    const auto key = load_or_create_key(folder_ + "/nowhere/cluster.key", seed_of(1));
    ASSERT_FALSE(key.ok());
    EXPECT_NE(key.error().message().find("nowhere/cluster.key"), std::string::npos);
}

TEST(Key, is_zeroed_when_it_ends) {
    alignas(Key) std::uint8_t memory[sizeof(Key)];
    std::construct_at(reinterpret_cast<Key*>(memory), seed_of(7));
    EXPECT_EQ(memory[5], 7);
    std::destroy_at(reinterpret_cast<Key*>(memory));
    volatile const std::uint8_t* after = memory;
    for (std::size_t i = 0; i < sizeof(Key); ++i) EXPECT_EQ(after[i], 0) << i;
}

TEST(Key, derives_one_per_purpose) {
    const Key key(seed_of(1));
    EXPECT_EQ(key.derive("a"), key.derive("a"));
    EXPECT_FALSE(key.derive("a") == key.derive("b"));
    EXPECT_FALSE(Key::from_bytes(Bytes(31)).ok());
}

TEST(Mac, answers_rfc_4231) {
    EXPECT_EQ(hex(mac(Bytes(20, 0x0b), as_bytes("Hi There"))),
              "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    EXPECT_EQ(hex(mac(Bytes(131, 0xaa), as_bytes("Test Using Larger Than Block-Size Key - Hash Key First"))),
              "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Mac, refuses_any_changed_bit_and_any_other_length) {
    const Bytes key(32, 1);
    const Mac right = mac(key, as_bytes("message"));
    EXPECT_TRUE(verify_mac(key, as_bytes("message"), right));
    EXPECT_FALSE(verify_mac(key, as_bytes("messagf"), right));
    for (std::size_t bit = 0; bit < 256; ++bit) {
        Mac wrong = right;
        wrong[bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
        EXPECT_FALSE(verify_mac(key, as_bytes("message"), wrong));
    }
    EXPECT_FALSE(verify_mac(key, as_bytes("message"), BytesView(right).first(31)));
    EXPECT_FALSE(verify_mac(key, as_bytes("message"), {}));
}

constexpr PasswordCost cheap{.memory_bytes = 8 << 10, .passes = 1};

TEST(Password, is_verified_and_same_for_the_same_salt) {
    const auto hash = hash_password("correct horse", cheap, {1, 2, 3});
    ASSERT_TRUE(hash.ok());
    EXPECT_TRUE((*hash).starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
    EXPECT_TRUE(verify_password(*hash, "correct horse"));
    EXPECT_FALSE(verify_password(*hash, "correct horsf"));
    EXPECT_FALSE(verify_password(*hash, ""));
    EXPECT_EQ(*hash, *hash_password("correct horse", cheap, {1, 2, 3}));
    EXPECT_NE(*hash, *hash_password("correct horse", cheap, {1, 2, 4}));
}

// Made with the reference implementation (argon2-cffi): hash_secret(b"password", b"somesaltsomesalt", 2, 64, 1, 32, ID)
TEST(Password, agrees_with_the_reference_implementation) {
    const std::string hash =
        "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$Gpj7qOY5RCXJvcMzqcdQqvgR3wcPX7SleI4c9NtXk6E";
    EXPECT_TRUE(verify_password(hash, "password"));
    EXPECT_FALSE(verify_password(hash, "Password"));
}

TEST(Password, hash_that_makes_no_sense_matches_nothing) {
    const auto good = *hash_password("x", cheap, {});
    for (const std::string& bad : {std::string(), std::string("$argon2id$"), good.substr(0, good.size() - 1),
                                  good + "A", std::string("$argon2i$") + good.substr(10),
                                  std::string("$argon2id$v=19$m=99999999999,t=1,p=1$AAAA$AAAA"),
                                  std::string("$argon2id$v=19$m=4194304,t=1,p=1$") + good.substr(27)}) {
        EXPECT_FALSE(verify_password(bad, "x")) << bad;
        EXPECT_TRUE(needs_rehash(bad, cheap)) << bad;
    }
}

TEST(Password, cost_out_of_range_is_named) {
    EXPECT_FALSE(hash_password("x", {.memory_bytes = 0, .passes = 1}, {}).ok());
    EXPECT_FALSE(hash_password("x", {.memory_bytes = 8 << 10, .passes = 0}, {}).ok());
    const auto bad = hash_password("x", {.memory_bytes = 2ull << 30, .passes = 1}, {});
    ASSERT_FALSE(bad.ok());
    EXPECT_NE(bad.error().message().find("memory_bytes=2147483648"), std::string::npos);
    EXPECT_FALSE(hash_password(std::string(1025, 'x'), cheap, {}).ok());
}

TEST(Password, needs_rehash_when_the_cost_changed) {
    const auto hash = *hash_password("x", cheap, {});
    EXPECT_FALSE(needs_rehash(hash, cheap));
    EXPECT_TRUE(needs_rehash(hash, {.memory_bytes = 16 << 10, .passes = 1}));
    EXPECT_TRUE(needs_rehash(hash, {.memory_bytes = 8 << 10, .passes = 2}));
}

TEST(Token, random_ones_follow_their_seed) {
    EXPECT_EQ(random_token(seed_of(1)), random_token(seed_of(1)));
    EXPECT_NE(random_token(seed_of(1)), random_token(seed_of(2)));
    EXPECT_EQ(random_token(seed_of(1)).size(), 32u);
}

TEST(SignedToken, returns_what_was_signed) {
    const SignedToken tokens(Key(seed_of(1)), "ticket");
    for (const std::size_t size : {0u, 1u, 2u, 3u, 100u, 4096u}) {
        const Bytes claims(size, 0x5a);
        const auto opened = tokens.open(tokens.sign(claims));
        ASSERT_TRUE(opened.ok()) << size;
        EXPECT_EQ(*opened, claims);
    }
}

TEST(SignedToken, refuses_every_changed_character) {
    const SignedToken tokens(Key(seed_of(1)), "ticket");
    const std::string text = tokens.sign(as_bytes("player=7 match=3"));
    for (std::size_t i = 0; i < text.size(); ++i)
        for (const char other : {'A', 'B', '.', '=', '\0', ' '}) {
            std::string wrong = text;
            wrong[i] = other;
            if (wrong != text) EXPECT_FALSE(tokens.open(wrong).ok()) << i << other;
        }
    for (std::size_t size = 0; size < text.size(); ++size)
        EXPECT_FALSE(tokens.open(std::string_view(text).substr(0, size)).ok());
    EXPECT_FALSE(tokens.open(text + "A").ok());
    EXPECT_FALSE(tokens.open(std::string(100'000, 'A') + ".A").ok());
}

TEST(SignedToken, of_another_key_or_purpose_is_unauthorized) {
    const std::string text = SignedToken(Key(seed_of(1)), "ticket").sign(as_bytes("x"));
    EXPECT_FALSE(SignedToken(Key(seed_of(2)), "ticket").open(text).ok());
    const auto other = SignedToken(Key(seed_of(1)), "resume").open(text);
    ASSERT_FALSE(other.ok());
    EXPECT_TRUE(other.error().is(errc::unauthorized));
}

}  // namespace
}  // namespace gyre::secure
