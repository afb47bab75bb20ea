#pragma once
#include <gyre/cluster/node_info.hpp>
#include <gyre/module/node.hpp>
#include <gyre/node/cluster_config.hpp>
#include <gyre/secure/handshake.hpp>
#include <optional>

namespace gyre::node {

/// <data>/cluster.json: what runs here, for tools. Gone when nothing runs.
struct ClusterFile {
    std::string name;        ///< Of the cluster.
    std::uint64_t pid = 0;   ///< Ends the cluster when it gets SIGTERM.
    std::string mode;        ///< "process" or "processes".
    std::vector<cluster::NodeInfo> nodes;  ///< As they started; their load is asked from them.
    std::vector<NodeSpec> config;          ///< What should run.
    static consteval auto describe() {
        return type<ClusterFile>("ClusterFile", field<&ClusterFile::name>(), field<&ClusterFile::pid>(),
                                 field<&ClusterFile::mode>(), field<&ClusterFile::nodes>(),
                                 field<&ClusterFile::config>());
    }
};

/// A lock on a data folder that ends with the last process that holds the descriptor.
class FolderLock {
public:
    explicit FolderLock(int fd) : fd_(fd) {}
    FolderLock(FolderLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    FolderLock& operator=(FolderLock&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~FolderLock();
    int descriptor() const { return fd_; }

private:
    int fd_;
};

/// What a cluster keeps on this machine: keys, documents, logs, and cluster.json while it runs.
/// Blocks on the disk: for start-up and tools.
class DataFolder {
public:
    /// Makes it with mode 0700 when missing. Error: bad_config, names the folder and the reason.
    static Result<DataFolder> open(const std::string& path);
    /// The same without making it. Error: not_found.
    static Result<DataFolder> find(const std::string& path);

    const std::string& path() const { return path_; }  ///< Absolute.
    std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }
    /// cluster.key, login.key, ticket.key and server.key; made when missing. Writes server.pub, which
    /// clients pin. Error: bad_config.
    Result<module::Keys> keys(io::Io& io) const;
    /// Of server.pub. Errors: not_found, bad_data.
    Result<secure::PublicKey> server_key() const;
    /// For who starts a cluster. Error: in_use, says which process has it.
    Result<FolderLock> lock() const;
    std::optional<std::uint64_t> locked_by() const;  ///< Pid of who has the lock.

    Result<> write(const ClusterFile& file) const;
    Result<> write(const cluster::NodeInfo& node) const;  ///< nodes/NAME.json
    void forget_cluster() const noexcept;  ///< Removes cluster.json and nodes/*.json.
    /// Errors: not_found (nothing runs here), bad_data.
    Result<ClusterFile> cluster() const;

private:
    explicit DataFolder(std::string path) : path_(std::move(path)) {}
    static constexpr std::string_view server_key_file = "server.pub";
    Result<> write_whole(const std::string& name, const std::string& text) const;
    std::string path_;
};

}  // namespace gyre::node
