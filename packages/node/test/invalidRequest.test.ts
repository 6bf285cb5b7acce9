import * as NodePlatform from "@effect-k8s/node/NodePlatform"
import { closedPort } from "@effect-k8s/testing/contract/Peer"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"

for (const channel of ["http", "streaming"] as const) {
  it.live(`${channel}: what undici refuses to send is no lost connection, which would be tried again`, () =>
    Effect.gen(function*() {
      const url = new URL(`http://127.0.0.1:${closedPort}`)
      const transport = yield* NodePlatform.transport({ url })
      for (const [name, value] of [["transfer-encoding", "gzip"], ["expect", "100-continue"]] as const) {
        const request = HttpClientRequest.setHeader(HttpClientRequest.get(url.href), name, value)
        const { reason: { cause } } = yield* Effect.flip(transport[channel].execute(request))
        const { reason } = transport.classify(cause)
        assert.strictEqual(reason._tag, "InvalidRequest")
        assert.match(reason.message, new RegExp(`${name} header`))
      }
    }).pipe(Effect.scoped))
}
