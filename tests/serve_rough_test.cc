// minke serve and clients that misbehave.

#include "base/machine.h"
#include "raw_client.h"
#include "serve_program.h"

namespace minke {
namespace {

class ServeRough : public ServeProgram {
 protected:
  static constexpr const char* chats = "/v1/chat/completions";

  static std::string long_stream(int answers) {
    Value body = chat("ships and whales", 1900);
    body.update({{"stream", true}, {"n", answers}, {"logprobs", true}, {"top_logprobs", 20}});
    return body.dump();
  }
  double generated() const { return metric("minke_generated_tokens_total"); }
  bool is_idle() const {
    return metric("minke_running_requests{model=\"run\"}") == 0 &&
           metric("minke_cache_pages_used{model=\"run\"}") == 0;
  }
  void expect_service() const { EXPECT_EQ(post(chats, chat("ships", 2)).status, 200); }
};

TEST_F(ServeRough, WhoHangsUpFreesItsPages) {
  start();
  RawClient client(port_);
  client.post(chats, long_stream(4));
  const std::string piece = "\"content\":";
  EXPECT_NE(client.read(piece).find(piece), std::string::npos);
  client.hang_up();
  const double before = generated();
  EXPECT_TRUE(comes_true([this] { return is_idle(); }));
  EXPECT_LT(before, 4 * 1900 / 2) << "the model is too fast for this test";
  EXPECT_LT(generated(), 4 * 1900 - 1) << "it was written to the end";
  expect_service();
}

TEST_F(ServeRough, HangingUpIsNoFault) {
  start();
  RawClient client(port_);
  Value body = chat("ships and whales", 1900);
  body.update({{"n", 16}, {"logit_bias", {{"1", -100}}}});
  client.post(chats, body.dump());
  EXPECT_TRUE(comes_true([this] { return generated() > 10; }));
  client.hang_up();
  const auto requests = [this](int status) {
    return metric(fmt::format("minke_requests_total{{path=\"{}\",status=\"{}\"}}", chats, status));
  };
  EXPECT_TRUE(comes_true([&] { return requests(499) == 1; }));
  EXPECT_EQ(requests(500), -1);
}

TEST_F(ServeRough, WhoDoesNotReadIsCutOff) {
  start("run --write-timeout 0.5");
  RawClient client(port_, 2048);
  client.post(chats, long_stream(16));
  EXPECT_TRUE(comes_true([this] { return generated() > 100; }));
  expect_service();
  EXPECT_TRUE(comes_true([this] { return is_idle(); }));
  EXPECT_LT(generated(), 16 * 1900 - 1) << "it was written to the end";
  EXPECT_EQ(client.read().find("[DONE]"), std::string::npos);
}

TEST_F(ServeRough, HalfRequestsEndInTime) {
  start("run --read-timeout 1");
  std::vector<std::unique_ptr<RawClient>> heads, bodies, silent;
  for (int i = 0; i < 40; ++i) {
    for (auto* clients : {&heads, &bodies, &silent})
      clients->push_back(std::make_unique<RawClient>(port_));
    heads.back()->send("POST /v1/chat/comp");
    bodies.back()->send(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{");
  }
  expect_service();
  const double begin = now_seconds();
  for (const auto& client : bodies)
    EXPECT_NE(client->read().find("HTTP/1.1 408"), std::string::npos);
  for (const auto& client : heads) client->read();
  EXPECT_LT(now_seconds() - begin, 10);
  expect_service();
}

TEST_F(ServeRough, TooManyConnectionsAreTurnedAway) {
  start("run --connections 4");
  {
    std::vector<std::unique_ptr<RawClient>> silent;
    for (int i = 0; i < 4; ++i) silent.push_back(std::make_unique<RawClient>(port_));
    RawClient late(port_);
    EXPECT_NE(late.read().find("HTTP/1.1 503"), std::string::npos);
  }
  EXPECT_TRUE(comes_true([this] { return post(chats, chat("ships", 2)).status == 200; }));
}

TEST_F(ServeRough, HugeBodiesAreNotKept) {
  start();
  expect_service();
  const double memory = metric("minke_resident_bytes");
  constexpr int64_t size = 100'000'000;
  RawClient told(port_);
  told.send(fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{{",
                        chats, size));
  EXPECT_NE(told.read().find("HTTP/1.1 413"), std::string::npos);
  RawClient chunked(port_);
  chunked.send(fmt::format(
      "POST {} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", chats));
  const std::string chunk = "10000\r\n" + std::string(0x10000, ' ') + "\r\n";
  for (int64_t sent = 0; sent < size && chunked.send(chunk); sent += 0x10000) continue;
  expect_service();
  EXPECT_LT(metric("minke_resident_bytes") - memory, 50e6);
}

}  // namespace
}  // namespace minke
