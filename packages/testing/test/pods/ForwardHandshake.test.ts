import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { start } from "../support/Cluster.ts"
import * as ExecClient from "../support/ExecClient.ts"

const path = "/api/v1/namespaces/default/pods/p/portforward"
const bare = "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n"

/** What a request for forwarded ports over WebSocket is answered with: its status, subprotocol and body. */
const asked = Effect.fnUntraced(function*(
  cluster: Effect.Success<ReturnType<typeof start>>,
  protocols: string | undefined,
  query = ""
) {
  const client = yield* ExecClient.open(cluster, [], { protocols, path: `${path}${query}` })
  if (client.status !== 101) yield* client.ended
  const subprotocol = /Sec-WebSocket-Protocol: (.*)\r/.exec(client.head)?.[1]
  return { status: client.status, subprotocol, body: client.body(), all: client.head + client.body() }
})

describe("a request for forwarded ports", () => {
  it.live("P9: is a tunnel when it offers one, and is answered with the name that it offered", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      for (const protocols of ["SPDY/3.1+portforward.k8s.io", "x.k8s.io, SPDY/3.1+portforward.k8s.io"]) {
        const { status, subprotocol } = yield* asked(cluster, protocols)
        assert.deepStrictEqual([status, subprotocol], [101, "SPDY/3.1+portforward.k8s.io"])
      }
    }))

  it.live("P9: for a tunnel that the node does not speak is refused in the node's words, before the 101", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const { body, status } = yield* asked(cluster, "SPDY/3.1+v9.portforward.k8s.io")
      assert.strictEqual(status, 403)
      assert.include(body, "unable to negotiate protocol: client supports [v9.portforward.k8s.io]")
    }))

  it.live("P9: for a tunnel is none on a server before 1.30: it lacks ports, or is refused without a word", () =>
    Effect.gen(function*() {
      const cluster = yield* start({ pods: { era: "1.28" } })
      const without = yield* asked(cluster, "SPDY/3.1+portforward.k8s.io")
      assert.deepStrictEqual([without.status, without.body], [400, "query parameter \"port\" is required"])
      assert.strictEqual((yield* asked(cluster, "SPDY/3.1+portforward.k8s.io", "?ports=80")).all, bare)
    }))

  it.live("P11: names its ports in the query, many, in lists, or both, and every one must be one", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const rows = [
        ["?ports=80", 101],
        ["?ports=80&ports=81", 101],
        ["?ports=80,81&ports=82", 101],
        ["", 400],
        ["?ports=0", 400],
        ["?ports=65536", 400],
        ["?ports=-1", 400],
        ["?ports=http", 400],
        ["?ports=80,nope", 400]
      ] as const
      for (const [query, expected] of rows) {
        assert.strictEqual((yield* asked(cluster, "v4.channel.k8s.io", query)).status, expected, query)
      }
      assert.strictEqual((yield* asked(cluster, "portforward.k8s.io", "?ports=80")).all, bare)
    }))
})
