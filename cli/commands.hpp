#pragma once
#include <gyre/node/process.hpp>

#include <string>
#include <vector>

/// What the subcommands do; each returns the exit code. Data goes to stdout, talk to stderr.
namespace gyre::cli {

struct UpOptions {
    node::ProcessOptions process;
    bool processes = false;  ///< One process for each node, with an etcd.
};
/// Starts the cluster and keeps it running until SIGINT or SIGTERM.
int up(const UpOptions& options);

struct NodeOptions {
    node::ProcessOptions process;
    int ready_fd = -1;  ///< Gets the ClusterFile as JSON once all nodes run; -1: stdout is told.
};
/// Runs nodes in this process: what `up` starts.
int run_nodes(const NodeOptions& options);

struct PsOptions {
    std::string data;
    bool json = false;
    bool builds = false;  ///< Of every module on every node, old ones that are still loaded included.
};
int ps(const PsOptions& options);

struct CallOptions {
    std::string data;
    std::string node;    ///< Name, HOST:PORT, role:ROLE, all:ROLE, all, or entity:ID.
    std::string method;  ///< "Type.method"
    std::vector<std::string> arguments;  ///< A JSON value each.
    std::string entity;  ///< Decimal id; empty: a service.
    double timeout_s = 5;
};
int call(const CallOptions& options);

int down(const std::string& data);

struct ConfigOptions {
    node::ProcessOptions process;
    std::string key;        ///< Of show: a section, or empty. Of explain: a key.
    bool json = false, defaults = false;
};
int check_config(const ConfigOptions& options);    ///< Is it one that a cluster starts with?
int show_config(const ConfigOptions& options);     ///< What is set, and where.
int explain_config(const ConfigOptions& options);  ///< One key.
int print_schema(const ConfigOptions& options);    ///< JSON Schema.

struct CheckOptions {
    std::string file;    ///< Name or path of a module.
    std::string expect;  ///< JSON file with module::Expectations; empty: none.
    bool json = false;
    bool steps = false;         ///< Each step on stderr before it is done.
    std::uint32_t limit_s = 0;  ///< Bounds this process; 0: not.
};
/// Loads the module here and says whether a node can: 0 fit, 1 refused.
int check_module(const CheckOptions& options);

struct ReloadOptions {
    std::string data;
    std::vector<std::string> what;   ///< Modules by name or file; empty: all whose installed file differs.
    std::vector<std::string> nodes;  ///< Empty: all.
    bool check = false, full = false, incremental = false, config = false, json = false;
    std::uint32_t canary = 0;        ///< Nodes of each role that go first; 0: no canary.
    std::string watch = "30s";       ///< How long the canary is watched.
    std::string deadline;            ///< Of methods in flight; empty: config key reload.deadline.
};
int reload(const ReloadOptions& options);

struct RollbackOptions {
    std::string data;
    std::string module;  ///< Empty: the one that was reloaded last.
    std::vector<std::string> nodes;
    std::uint32_t steps = 1;
};
int roll_back(const RollbackOptions& options);

/// The last `limit` lines of the audit log.
int audit(const std::string& data, std::uint32_t limit, bool json);

struct LogOptions {
    std::string data;
    std::vector<std::string> set;    ///< "world=debug", "debug"; empty: only look.
    std::vector<std::string> nodes;  ///< Empty: all.
    bool json = false;
};
int log(const LogOptions& options);

struct LogsOptions {
    std::string data;
    std::vector<std::string> nodes;  ///< Empty: all.
    std::string level;               ///< Empty: all.
    std::string since;               ///< Duration; empty: from the beginning.
    std::string event, grep;
    std::size_t lines = 100;         ///< 0: all.
    bool follow = false;
};
/// From the files in the data folder: of nodes that have ended, too.
int logs(const LogsOptions& options);

struct SymbolizeOptions {
    std::string data;
    std::vector<std::string> files;    ///< Crash files or any text; "-": stdin. Empty: the last crash.
    std::vector<std::string> folders;  ///< Where files of the builds are, besides where they were.
};
/// Frames (OBJECT+0xOFFSET build ID) as functions and lines.
int symbolize(const SymbolizeOptions& options);

struct DevOptions {
    UpOptions up;
    std::string build;                 ///< CMake build folder; empty: the one this executable is in.
    std::vector<std::string> modules;  ///< Empty: all of the cluster that have a target there.
};
/// Starts or joins a cluster, and builds and reloads what is edited, until SIGINT or SIGTERM.
int dev(const DevOptions& options);

struct LinkOptions {
    std::string listen = "127.0.0.1:7000", to;
    std::string link, up, down;  ///< As sim::parse_link reads them; empty up or down: link.
    std::string limit;           ///< Duration; empty: until SIGINT.
    std::uint64_t seed = 1;
    std::uint32_t clients = 1000;
    bool json = false;
};
/// Carries datagrams between clients and a server over a bad link until SIGINT, SIGTERM or its
/// limit; prints what became of them.
int link(const LinkOptions& options);

/// For people: where clients and nodes are reached, and what to do next.
void print_banner(const node::ClusterFile& file, const std::string& data);

}  // namespace gyre::cli
