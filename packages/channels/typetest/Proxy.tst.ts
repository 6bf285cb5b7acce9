import * as PortForward from "@effect-k8s/channels/PortForward"
import * as Proxy from "@effect-k8s/channels/Proxy"
import * as Target from "@effect-k8s/channels/Target"
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import type { KubeError } from "@effect-k8s/core/KubeError"
import type * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import type * as Socket from "effect/socket/Socket"
import { describe, expect, it } from "tstyche"

describe("a proxy", () => {
  it("is to a pod, a service or a node", () => {
    expect(Proxy.httpClient).type.toBeCallableWith(Target.pod("web"))
    expect(Proxy.httpClient).type.toBeCallableWith(Proxy.service("web"), { port: "http", scheme: "https" })
    expect(Proxy.webSocket).type.toBeCallableWith(Proxy.node("n"), "/path", { protocols: ["v1"] })
    expect(Proxy.httpClient).type.not.toBeCallableWith(PortForward.deployment("web"))
    expect(Proxy.httpClient).type.not.toBeCallableWith(Target.pod("web"), { scheme: "ftp" })
  })

  it("is an HttpClient like any other, and a Socket", () => {
    expect(Proxy.httpClient(Target.pod("web"))).type.toBe<
      Effect.Effect<HttpClient.HttpClient, KubeError, KubeClient>
    >()
    expect(Proxy.webSocket(Target.pod("web"), "/")).type.toBe<Effect.Effect<Socket.Socket, KubeError, KubeClient>>()
  })
})
