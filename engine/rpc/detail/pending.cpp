#include <algorithm>
#include <gyre/rpc/detail/pending.hpp>

namespace gyre::rpc::detail {

void PendingTable::grow() {
    std::vector<PendingReply*> old(std::max<std::size_t>(64, 2 * places_.size()));
    old.swap(places_);
    for (PendingReply* reply : old)
        if (reply) places_[reply->id_ & (places_.size() - 1)] = reply;
}

void PendingTable::fail_all(const Error& reason) {
    std::vector<PendingReply*> all;
    for (PendingReply* reply : places_)
        if (reply) all.push_back(reply);
    std::ranges::sort(all, {}, &PendingReply::id_);  // in the order of the calls
    for (PendingReply* reply : all) {
        take(reply->id_);
        reply->fail(reason);
    }
}

}  // namespace gyre::rpc::detail
