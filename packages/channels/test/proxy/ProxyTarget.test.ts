import * as Proxy from "@effect-k8s/channels/Proxy"
import { pathBelow } from "@effect-k8s/channels/proxy/pathBelow"
import * as ProxyTarget from "@effect-k8s/channels/ProxyTarget"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Server from "../support/execServer.ts"

const resolve = (target: ProxyTarget.ProxyTarget, options: ProxyTarget.Options = {}) =>
  Effect.flatMap(
    Server.make({
      pod: (name) =>
        Response.json({
          kind: "Pod",
          apiVersion: "v1",
          metadata: { name },
          spec: { containers: [{ name: "c", ports: [{ name: "http", containerPort: 8080 }] }] }
        })
    }),
    ({ client }) => Effect.provideService(ProxyTarget.resolve(target, options), KubeClient, client)
  )

describe("the path of a target", () => {
  const web = Target.pod("web-0", { namespace: "shop" })
  const cases: ReadonlyArray<readonly [string, ProxyTarget.ProxyTarget, ProxyTarget.Options, string]> = [
    ["of a pod", web, {}, "/api/v1/namespaces/shop/pods/web-0/proxy"],
    ["with a port", web, { port: 80 }, "/api/v1/namespaces/shop/pods/web-0:80/proxy"],
    ["with a scheme", web, { port: 80, scheme: "https" }, "/api/v1/namespaces/shop/pods/https:web-0:80/proxy"],
    ["with a scheme alone", web, { scheme: "https" }, "/api/v1/namespaces/shop/pods/https:web-0:/proxy"],
    ["of a named port, which is looked up", web, { port: "http" }, "/api/v1/namespaces/shop/pods/web-0:8080/proxy"],
    ["in the client's namespace", Target.pod("web-0"), {}, "/api/v1/namespaces/ns/pods/web-0/proxy"],
    ["of a service", Proxy.service("web"), { port: "page" }, "/api/v1/namespaces/ns/services/web:page/proxy"],
    ["of a node", Proxy.node("n.example"), { port: 9100 }, "/api/v1/nodes/n.example:9100/proxy"]
  ]
  for (const [name, target, options, path] of cases) {
    it.effect(name, () => Effect.map(resolve(target, options), (resolved) => assert.strictEqual(resolved.path, path)))
  }

  it.effect("is none for what is no name or port", () =>
    Effect.gen(function*() {
      const wrong: ReadonlyArray<readonly [ProxyTarget.ProxyTarget, ProxyTarget.Options, string]> = [
        [Target.pod("a/b"), {}, "Encode"],
        [Target.pod(".."), {}, "Encode"],
        [Target.pod("a:b"), {}, "Encode"],
        [Target.pod("a", { namespace: "n/m" }), {}, "Encode"],
        [Proxy.service("a%2f"), {}, "Encode"],
        [web, { port: 0 }, "Encode"],
        [web, { port: 1.5 }, "Encode"],
        [web, { port: "" }, "Encode"],
        [web, { port: "80" }, "Encode"],
        [web, { port: "a:b" }, "Encode"],
        [Proxy.node("n"), { port: "metrics" }, "Encode"],
        [web, { port: "nope" }, "PortUnavailable"]
      ]
      for (const [target, options, reason] of wrong) {
        const error = yield* Effect.flip(resolve(target, options))
        assert.strictEqual(error.reason._tag, reason, `${ProxyTarget.format(target)} ${String(options.port)}`)
      }
    }))
})

const server = "https://api.test/k8s/x"
const prefix = "/api/v1/namespaces/ns/pods/web:80/proxy"
const below = (url: string): string | undefined => Result.getOrUndefined(pathBelow(url, server, prefix))

describe("the path below a target", () => {
  const cases: ReadonlyArray<readonly [url: string, path: string | undefined]> = [
    ["/", "/"],
    ["", "/"],
    ["metrics", "/metrics"],
    ["/a/b/?x=1&y=2", "/a/b/?x=1&y=2"],
    ["/a%2Fb%20c", "/a%2Fb%20c"],
    ["//a//b", "//a//b"],
    ["/a/../../../../etc", "/etc"],
    ["/%2e%2e/%2E./x", "/x"],
    ["/a:b@c", "/a:b@c"],
    [`${server}${prefix}/again?x=1`, "/again?x=1"],
    [`${server}${prefix}`, "/"],
    [`https://api.test${prefix}/again`, "/again"],
    [`${server}${prefix}/../../secrets`, undefined],
    [`${server}${prefix}x/a`, undefined],
    [`${server}/api/v1/secrets`, undefined],
    ["https://example.org/x", undefined],
    ["file:///etc/passwd", undefined],
    ["http://[bad", undefined]
  ]
  for (const [url, path] of cases) {
    it(`of ${JSON.stringify(url)} is ${path ?? "none"}`, () => assert.strictEqual(below(url), path))
  }

  const segment = Schema.Literals(["..", ".", "%2e%2e", ".%2E", "a", "", "\\", "%5c", "?", "#", " ", ":", "@"])
  const asked = { segments: Schema.Array(segment), absolute: Schema.Boolean }

  it.prop("never leads out of the target, whatever is asked", asked, ({ absolute, segments }) => {
    const text = segments.join("/")
    const path = below(absolute ? `${server}${prefix}/${text}` : text)
    if (path === undefined) return
    const url = new URL(server + prefix + path)
    assert.isTrue(url.pathname.startsWith(`/k8s/x${prefix}/`), url.href)
    assert.strictEqual(url.host, "api.test")
  })
})
