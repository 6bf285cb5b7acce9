/**
 * What 1.28, 1.34 and 1.36 answer to each kind of upgrade, to users with one verb or both.
 */
import * as ForwardPairs from "@effect-k8s/channels/protocol/ForwardPairs"
import * as ForwardTunnel from "@effect-k8s/channels/protocol/ForwardTunnel"
import { v4, v5 } from "@effect-k8s/channels/protocol/RemoteCommand"
import * as SpdyHandshake from "@effect-k8s/channels/protocol/SpdyHandshake"
import * as WebSocketHandshake from "@effect-k8s/channels/protocol/WebSocketHandshake"
import * as Era from "@effect-k8s/testing/pods/Era"
import * as Json from "@effect-k8s/testing/store/Json"
import type * as TestCluster from "@effect-k8s/testing/TestCluster"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { start } from "../support/Cluster.ts"
import * as HandlerClient from "../support/HandlerClient.ts"

const subresources = ["exec", "attach", "portforward"] as const
type Subresource = (typeof subresources)[number]
const eras = ["1.28", "1.34", "1.36"] as const

const key = "AAAAAAAAAAAAAAAAAAAAAA=="
const webSocket = (...protocols: ReadonlyArray<string>) => WebSocketHandshake.requestHeaders(key, protocols)

const users: TestCluster.Options["users"] = (["get", "create"] as const).map((verb) => ({
  name: verb,
  rules: [{ verbs: [verb], resources: subresources.map((name) => `pods/${name}`) }]
}))

const query = (subresource: Subresource): string =>
  subresource === "exec" ? "?command=true&stdout=true" : subresource === "attach" ? "?stdout=true" : "?ports=8080"

const path = (subresource: Subresource): string =>
  `/api/v1/namespaces/default/pods/p/${subresource}${query(subresource)}`

const asker = (cluster: TestCluster.Service, user: string) =>
  HandlerClient.make(cluster.handler, cluster.kubeconfig().users.find(({ name }) => name === user)?.user.token ?? "")

describe("an upgrade", () => {
  const spdy = (subresource: Subresource) =>
    SpdyHandshake.requestHeaders([subresource === "portforward" ? ForwardPairs.protocol : v4])
  const requests: ReadonlyArray<
    readonly [
      name: string,
      method: string,
      headers: (subresource: Subresource) => Readonly<Record<string, string>>,
      expected: Readonly<Record<"get" | "create", Readonly<Record<Era.Era, number>>>>
    ]
  > = [
    ["of a WebSocket by GET", "GET", () => webSocket(v4), {
      get: { "1.28": 101, "1.34": 101, "1.36": 403 },
      create: { "1.28": 403, "1.34": 403, "1.36": 403 }
    }],
    ["of SPDY by POST", "POST", spdy, {
      get: { "1.28": 403, "1.34": 403, "1.36": 403 },
      create: { "1.28": 101, "1.34": 101, "1.36": 101 }
    }],
    ["of SPDY by GET", "GET", spdy, {
      get: { "1.28": 101, "1.34": 101, "1.36": 403 },
      create: { "1.28": 403, "1.34": 403, "1.36": 403 }
    }],
    // A handshake that is refused is written as bytes.
    ["of a WebSocket by POST", "POST", () => webSocket(v4), {
      get: { "1.28": 403, "1.34": 403, "1.36": 403 },
      create: { "1.28": 405, "1.34": 405, "1.36": 405 }
    }]
  ]
  for (const era of eras) {
    it.live(`of ${era} goes by the verb of its method`, () =>
      Effect.gen(function*() {
        const cluster = yield* start({ users, pods: { era } })
        for (const [name, method, headers, expected] of requests) {
          for (const subresource of subresources) {
            for (const verb of ["get", "create"] as const) {
              const token = cluster.kubeconfig().users.find((one) => one.name === verb)?.user.token ?? ""
              const response = yield* HandlerClient.send(cluster.handler, path(subresource), {
                method,
                headers: { ...headers(subresource), Authorization: `Bearer ${token}` }
              })
              const status = response._tag === "Upgrade"
                ? 101
                : response._tag === "Raw"
                ? Number(/^HTTP\/1\.1 (\d+)/.exec(new TextDecoder().decode(response.bytes))?.[1])
                : response.status
              assert.strictEqual(status, expected[verb][era], `${name} on ${subresource} with ${verb}`)
            }
          }
        }
      }))
  }

  it.live("that 1.36 refuses for want of create is refused without a reason", () =>
    Effect.gen(function*() {
      const cluster = yield* start({ users, pods: { era: "1.36" } })
      for (const subresource of subresources) {
        const answer = yield* asker(cluster, "get").get(path(subresource), webSocket(v4))
        assert.deepStrictEqual([answer.status, answer.at("message")], [403, "pods \"p\" is forbidden: "])
      }
    }))

  const tunnel = ForwardTunnel.protocol
  const offers: ReadonlyArray<
    readonly [Subresource, ReadonlyArray<string>, Readonly<Record<Era.Era, string>>, query?: string]
  > = [
    ["exec", [v5], { "1.28": "403", "1.34": v5, "1.36": v5 }],
    ["exec", [v5, v4], { "1.28": v4, "1.34": v5, "1.36": v5 }],
    ["exec", ["v3.channel.k8s.io"], { "1.28": "403", "1.34": "403", "1.36": "403" }],
    ["attach", [v5], { "1.28": "403", "1.34": v5, "1.36": v5 }],
    ["attach", [v5, v4], { "1.28": v4, "1.34": v5, "1.36": v5 }],
    ["portforward", [tunnel], { "1.28": "403", "1.34": tunnel, "1.36": tunnel }],
    ["portforward", [tunnel], { "1.28": "400", "1.34": tunnel, "1.36": tunnel }, ""],
    ["portforward", [tunnel], { "1.28": "400", "1.34": tunnel, "1.36": tunnel }, "?ports=0"],
    ["portforward", [tunnel], { "1.28": "400", "1.34": "400", "1.36": "400" }, "?ports=abc"],
    ["portforward", [v4, tunnel], { "1.28": v4, "1.34": tunnel, "1.36": tunnel }],
    ["portforward", [v5], { "1.28": "403", "1.34": "403", "1.36": "403" }]
  ]
  for (const era of eras) {
    it.live(`of ${era} is answered with the subprotocol of the time`, () =>
      Effect.gen(function*() {
        const cluster = yield* start({ pods: { era } })
        const token = cluster.kubeconfig().users.find(({ name }) => name === "admin-token")?.user.token ?? ""
        for (const [subresource, protocols, expected, asked] of offers) {
          const url = `/api/v1/namespaces/default/pods/p/${subresource}${asked ?? query(subresource)}`
          const response = yield* HandlerClient.send(cluster.handler, url, {
            headers: { ...webSocket(...protocols), Authorization: `Bearer ${token}` }
          })
          const got = response._tag === "Upgrade"
            ? response.headers["Sec-WebSocket-Protocol"]
            : response._tag === "Raw"
            ? /^HTTP\/1\.1 (\d+)/.exec(new TextDecoder().decode(response.bytes))?.[1]
            : String(response.status)
          assert.strictEqual(got, expected[era], `${protocols.join(", ")} on ${url}`)
        }
      }))
  }
})

describe("the node", () => {
  for (const era of eras) {
    it.live(`of ${era} names its versions, and what it can do`, () =>
      Effect.gen(function*() {
        const cluster = yield* start({ pods: { era } })
        const { at } = yield* asker(cluster, "admin-token").get("/api/v1/nodes/test-node")
        const info = Json.object(at("status", "nodeInfo"))
        const { declaredFeatures, runtime, version } = Era.facts[era]
        assert.deepStrictEqual(
          [info["kubeletVersion"], info["containerRuntimeVersion"], at("status", "declaredFeatures") ?? []],
          [`v${version}`, runtime, declaredFeatures]
        )
      }))
  }
})
