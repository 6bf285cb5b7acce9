import * as KubeConfig from "@effect-k8s/core/KubeConfig"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { base64, cert, headersOf, key, type Parts, pem, resolveParts, resolveText } from "./kubeConfigFixtures.ts"

describe("merge", () => {
  const merged = (...texts: ReadonlyArray<string>) =>
    Effect.map(
      Effect.forEach(texts, (text, index) => KubeConfig.parse(text, `/f${index}`)),
      KubeConfig.merge
    )

  it.effect("the first file to name an entry wins whole; later keys of that name are not mixed in", () =>
    Effect.gen(function*() {
      const config = yield* merged(
        "clusters: [{name: c, cluster: {server: https://a}}]\nusers: [{name: u, user: {token: t}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]",
        "clusters: [{name: c, cluster: {server: https://b, tls-server-name: b}}]\nusers: [{name: u, user: {username: b}}]\ncontexts: [{name: x, context: {cluster: d, namespace: b}}]"
      )
      assert.deepInclude(config.clusters[0], { server: "https://a", tlsServerName: undefined, file: "/f0" })
      assert.deepInclude(config.users[0], { username: undefined, file: "/f0" })
      assert.deepInclude(config.contexts[0], { cluster: "c", namespace: undefined, file: "/f0" })
      assert.lengthOf([...config.clusters, ...config.users, ...config.contexts], 3)
    }))

  it.effect("entries of all files are there, in order", () =>
    Effect.map(merged("clusters: [{name: a}, {name: b}]", "clusters: [{name: c}, {name: a}]"), (config) => {
      assert.deepStrictEqual(config.clusters.map(({ file, name }) => [name, file]), [["a", "/f0"], ["b", "/f0"], [
        "c",
        "/f1"
      ]])
      assert.deepStrictEqual(config.files, ["/f0", "/f1"])
    }))

  for (
    const [name, first, second, expected] of [
      ["the first file with a current-context decides", "current-context: a", "current-context: b", "a"],
      ["a file without one leaves it to the next", "clusters: []", "current-context: b", "b"],
      ["an empty one leaves it to the next", "current-context: ''", "current-context: b", "b"],
      ["none has one", "", "", undefined]
    ] as const
  ) {
    it.effect(
      name,
      () => Effect.map(merged(first, second), (config) => assert.strictEqual(config.currentContext, expected))
    )
  }

  it("of nothing is empty", () => {
    assert.deepStrictEqual(KubeConfig.merge([]), {
      files: [],
      currentContext: undefined,
      contexts: [],
      clusters: [],
      users: []
    })
  })
})

describe("the context", () => {
  const two = JSON.stringify({
    "current-context": "one",
    contexts: [
      { name: "one", context: { cluster: "c1", user: "u1" } },
      { name: "two", context: { cluster: "c2", user: "u2", namespace: "shop" } }
    ],
    clusters: [{ name: "c1", cluster: { server: "https://one" } }, { name: "c2", cluster: { server: "https://two" } }],
    users: [{ name: "u1", user: { token: "t1" } }, { name: "u2", user: { token: "t2" } }]
  })

  for (
    const [name, options, expected] of [
      ["is the current one", undefined, ["one", "c1", "u1", "default", "https://one/", "Bearer t1"]],
      ["is the one asked for", { context: "two" }, ["two", "c2", "u2", "shop", "https://two/", "Bearer t2"]]
    ] as const
  ) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const resolved = yield* resolveText(two, options)
        const headers = yield* headersOf(resolved.credentials)
        assert.deepStrictEqual(
          [
            resolved.contextName,
            resolved.clusterName,
            resolved.userName,
            resolved.namespace,
            resolved.endpoint.url.href,
            headers["authorization"]
          ],
          [...expected]
        )
      }))
  }

  it.effect("without a user is anonymous", () =>
    Effect.gen(function*() {
      const resolved = yield* resolveParts({ context: { user: "" } })
      assert.isUndefined(resolved.userName)
      assert.deepStrictEqual(yield* headersOf(resolved.credentials), {})
    }))
})

describe("the server", () => {
  for (
    const [name, server, expected] of [
      ["keeps a path prefix", "https://host/k8s/clusters/x", "https://host/k8s/clusters/x"],
      ["drops slashes at the end", "https://host/k8s/clusters/x//", "https://host/k8s/clusters/x"],
      ["keeps an @ in its path", "https://host/a@b/c@d", "https://host/a@b/c@d"],
      ["keeps an @ in its path behind a port", "https://10.0.0.1:6443/a@b?c", "https://10.0.0.1:6443/a@b"],
      ["keeps an @ in its path behind an IPv6 address", "https://[::1]:6443/a@b", "https://[::1]:6443/a@b"],
      ["of a bare host", "https://host", "https://host/"],
      ["drops query and fragment", "https://host/p?a=b#c", "https://host/p"],
      ["may be plain HTTP", "http://127.0.0.1:8001", "http://127.0.0.1:8001/"],
      ["may be an IPv6 address", "https://[2001:db8::1]:6443", "https://[2001:db8::1]:6443/"]
    ] as const
  ) {
    it.effect(name, () =>
      Effect.map(resolveParts({ cluster: { server } }), (resolved) => {
        assert.strictEqual(resolved.endpoint.url.href, expected)
      }))
  }
})

describe("TLS", () => {
  const other = pem("CERTIFICATE", "Mg==")
  for (
    const [name, cluster, expected] of [
      ["nothing set leaves the runtime's trust store", {}, {
        ca: undefined,
        serverName: undefined,
        insecureSkipVerify: false
      }],
      ["certificate-authority-data is decoded", { "certificate-authority-data": base64(cert) }, {
        ca: cert,
        serverName: undefined,
        insecureSkipVerify: false
      }],
      ["base64 may be folded over lines", {
        "certificate-authority-data": base64(other).replaceAll(/(.{8})/g, "$1\n ")
      }, { ca: other, serverName: undefined, insecureSkipVerify: false }],
      ["data wins over a file, which is then not read", {
        "certificate-authority-data": base64(cert),
        "certificate-authority": "/does/not/exist"
      }, { ca: cert, serverName: undefined, insecureSkipVerify: false }],
      ["insecure-skip-tls-verify drops the certificate authority", {
        "certificate-authority-data": base64(cert),
        "insecure-skip-tls-verify": true
      }, { ca: undefined, serverName: undefined, insecureSkipVerify: true }],
      ["insecure-skip-tls-verify: false changes nothing", {
        "certificate-authority-data": base64(cert),
        "insecure-skip-tls-verify": false
      }, { ca: cert, serverName: undefined, insecureSkipVerify: false }],
      ["tls-server-name is kept", { "tls-server-name": "kubernetes" }, {
        ca: undefined,
        serverName: "kubernetes",
        insecureSkipVerify: false
      }],
      ["an empty tls-server-name is none", { "tls-server-name": "" }, {
        ca: undefined,
        serverName: undefined,
        insecureSkipVerify: false
      }],
      ["plain HTTP has none, and reads no file for it", {
        server: "http://host",
        "certificate-authority": "/does/not/exist"
      }, undefined]
    ] as const
  ) {
    it.effect(
      name,
      () => Effect.map(resolveParts({ cluster }), (resolved) => assert.deepStrictEqual(resolved.endpoint.tls, expected))
    )
  }
})

describe("proxy-url", () => {
  for (
    const [text, expected] of [
      ["http://proxy:3128", "http://proxy:3128/"],
      ["https://proxy", "https://proxy/"],
      ["socks5://proxy:1081", "socks5://proxy:1081"]
    ] as const
  ) {
    it.effect(`${text} is used`, () =>
      Effect.map(resolveParts({ cluster: { "proxy-url": text } }), (resolved) => {
        assert.strictEqual(resolved.endpoint.proxy?.url.href, expected)
      }))
  }

  it.effect("is split into URL, user name and redacted password", () =>
    Effect.map(
      resolveParts({ cluster: { "proxy-url": "http://jane:s3cret@proxy:3128" } }),
      ({ endpoint: { proxy } }) => {
        assert.strictEqual(proxy?.url.href, "http://proxy:3128/")
        assert.strictEqual(proxy?.username, "jane")
        assert.strictEqual(proxy?.password && Redacted.value(proxy.password), "s3cret")
      }
    ))

  it.effect("that is empty is none", () =>
    Effect.map(resolveParts({ cluster: { "proxy-url": "" } }), (resolved) => {
      assert.isUndefined(resolved.endpoint.proxy)
    }))
})

describe("credentials", () => {
  const certificate = { "client-certificate-data": base64(cert), "client-key-data": base64(key) }
  for (
    const [name, parts, expected] of [
      ["a token", { user: { token: "t" } }, { authorization: "Bearer t" }],
      ["a user name and password", { user: { username: "jane", password: "pw" } }, {
        authorization: `Basic ${base64("jane:pw")}`
      }],
      ["a user name alone has an empty password", { user: { username: "jane" } }, {
        authorization: `Basic ${base64("jane:")}`
      }],
      ["nothing is anonymous", { user: {} }, {}],
      ["impersonation with everything", {
        user: {
          token: "t",
          as: "jane",
          "as-uid": "1",
          "as-groups": ["a", "b"],
          "as-user-extra": { Reason: ["x", "y"] }
        }
      }, {
        authorization: "Bearer t",
        "impersonate-user": "jane",
        "impersonate-uid": "1",
        "impersonate-group": "a\nb",
        "impersonate-extra-reason": "x\ny"
      }],
      ["plain HTTP carries no credentials but the impersonation, as kubectl does", {
        cluster: { server: "http://host" },
        user: { token: "t", as: "jane" }
      }, { "impersonate-user": "jane" }],
      ["plain HTTP needs no plugin", { cluster: { server: "http://host" }, user: { exec: { command: "aws" } } }, {}],
      [
        "a token makes an exec plugin superfluous, as in client-go",
        { user: { token: "t", exec: { command: "aws" } } },
        {
          authorization: "Bearer t"
        }
      ],
      ["a certificate makes an exec plugin superfluous", { user: { ...certificate, exec: { command: "aws" } } }, {}],
      ["a key without a certificate is passed over, as by client-go", { user: { "client-key": "/does/not/exist" } }, {}]
    ] satisfies ReadonlyArray<readonly [string, Parts, Record<string, string>]>
  ) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const { credentials } = yield* resolveParts(parts)
        assert.deepStrictEqual(yield* headersOf(credentials), { ...expected })
      }))
  }

  it.effect("a client certificate is the identity of connections; its key is redacted", () =>
    Effect.gen(function*() {
      const { credentials } = yield* resolveParts({ user: certificate })
      const { clientCertificate } = yield* credentials.identity
      assert.strictEqual(clientCertificate?.cert, cert)
      assert.strictEqual(clientCertificate && Redacted.value(clientCertificate.key), key)
    }))

  for (const kind of ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"]) {
    it.effect(`a key may be a ${kind}`, () =>
      Effect.map(
        resolveParts({ user: { ...certificate, "client-key-data": base64(pem(kind)) } }),
        (resolved) => assert.strictEqual(resolved.userName, "u")
      ))
  }

  it.effect("data wins over files, which are then not read", () =>
    Effect.gen(function*() {
      const { credentials } = yield* resolveParts({
        user: { ...certificate, "client-certificate": "/does/not/exist", "client-key": "/does/not/exist" }
      })
      assert.strictEqual((yield* credentials.identity).clientCertificate?.cert, cert)
    }))
})
