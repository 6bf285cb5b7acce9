import * as KubeConfig from "@effect-k8s/core/KubeConfig"
import type { KubeConfigErrorReason } from "@effect-k8s/core/KubeConfigError"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import {
  base64,
  cert,
  fieldsOf,
  file,
  key,
  kubeconfig,
  type Parts,
  platform,
  reasonOf,
  resolveParts,
  resolveText
} from "./kubeConfigFixtures.ts"

describe("what cannot be used is a typed error that names file and key", () => {
  const clusters = "clusters[\"c\"].cluster"
  const users = "users[\"u\"]"
  const rows: ReadonlyArray<
    readonly [string, Parts, KubeConfigErrorReason["_tag"], Record<string, unknown>, (string | undefined)?]
  > = [
    ["an empty kubeconfig", { top: { contexts: [], clusters: [], users: [], "current-context": "" } }, "Empty", {
      files: [file]
    }],
    ["no current-context", { top: { "current-context": "" } }, "NoCurrentContext", {
      contexts: ["x"]
    }, "choose one of \"x\""],
    ["a current-context that does not exist", { top: { "current-context": "y" } }, "ContextNotFound", {
      context: "y",
      contexts: ["x"]
    }, "context \"y\" does not exist in /etc/test/kubeconfig; choose one of \"x\""],
    [
      "a current-context in an otherwise empty kubeconfig",
      {
        top: { contexts: null, clusters: null, users: null }
      },
      "ContextNotFound",
      { context: "x", contexts: [] },
      "there are no contexts"
    ],
    ["an unknown cluster", { context: { cluster: "d" } }, "ReferenceNotFound", {
      file,
      key: "contexts[\"x\"].context.cluster",
      list: "clusters",
      name: "d",
      names: ["c"]
    }],
    [
      "no cluster",
      { context: { cluster: null } },
      "ReferenceNotFound",
      { list: "clusters", name: undefined },
      "is not set"
    ],
    ["an unknown user", { context: { user: "v" } }, "ReferenceNotFound", {
      file,
      key: "contexts[\"x\"].context.user",
      list: "users",
      name: "v",
      names: ["u"]
    }],
    ["a cluster without server", { cluster: { server: "" } }, "InvalidServer", {
      file,
      key: `${clusters}.server`,
      problem: "is not set"
    }],
    [
      "a server without scheme",
      { cluster: { server: "k8s:6443" } },
      "InvalidServer",
      {},
      "does not begin with https://"
    ],
    ["a server of another scheme", { cluster: { server: "ftp://k8s" } }, "InvalidServer", {}, "\"ftp://k8s\""],
    ["a server without host", { cluster: { server: "https:///x" } }, "InvalidServer", {}],
    ["a server with a bad port", { cluster: { server: "https://k8s:99999" } }, "InvalidServer", {}, "not a valid URL"],
    [
      "a server with user information",
      { cluster: { server: "https://jane:s3cret@k8s" } },
      "InvalidServer",
      {},
      "username, password"
    ],
    ["a proxy-url of another scheme", { cluster: { "proxy-url": "socks5h://proxy" } }, "InvalidProxy", {
      source: `${clusters}.proxy-url in ${file}`,
      problem: "has the scheme \"socks5h\""
    }],
    ["a proxy-url without scheme", { cluster: { "proxy-url": "jane:s3cret@proxy" } }, "InvalidProxy", {}],
    [
      "certificate-authority-data that is not base64",
      { cluster: { "certificate-authority-data": "@@@" } },
      "InvalidBase64",
      {
        file,
        key: `${clusters}.certificate-authority-data`
      }
    ],
    [
      "client-certificate-data that is not base64",
      {
        user: { "client-certificate-data": "YQ", "client-key-data": base64(key) }
      },
      "InvalidBase64",
      { file, key: `${users}.user.client-certificate-data` }
    ],
    [
      "client-key-data that is not base64",
      {
        user: { "client-certificate-data": base64(cert), "client-key-data": "s3cret!" }
      },
      "InvalidBase64",
      { file, key: `${users}.user.client-key-data` }
    ],
    [
      "certificate-authority-data that is not PEM",
      { cluster: { "certificate-authority-data": base64("DER") } },
      "InvalidPem",
      {
        file,
        key: `${clusters}.certificate-authority-data`,
        path: undefined
      }
    ],
    [
      "a certificate in the place of a key",
      {
        user: { "client-certificate-data": base64(cert), "client-key-data": base64(cert) }
      },
      "InvalidPem",
      { key: `${users}.user.client-key-data`, expected: "PRIVATE KEY" }
    ],
    ["a certificate without a key", { user: { "client-certificate-data": base64(cert) } }, "CertificateWithoutKey", {
      file,
      key: users
    }],
    [
      "a token and a user name",
      { user: { token: "s3cret", username: "jane", password: "s3cret" } },
      "ConflictingKeys",
      {
        keys: ["token", "username"]
      }
    ],
    ["a token file and a password", { user: { tokenFile: "t", password: "s3cret" } }, "ConflictingKeys", {
      keys: ["tokenFile", "password"]
    }],
    [
      "conflicting credentials are refused over plain HTTP too",
      {
        cluster: { server: "http://k8s" },
        user: { token: "s3cret", username: "jane" }
      },
      "ConflictingKeys",
      {}
    ],
    [
      "an exec plugin beside an auth provider",
      {
        user: { exec: { command: "aws" }, "auth-provider": { name: "oidc" } }
      },
      "ConflictingKeys",
      { keys: ["exec", "auth-provider"] }
    ],
    ["groups without a user", { user: { token: "s3cret", "as-groups": ["g"] } }, "ImpersonationWithoutUser", {
      file,
      key: users,
      keys: ["as-groups"]
    }],
    ["a uid without a user", { user: { "as-uid": "1" } }, "ImpersonationWithoutUser", { keys: ["as-uid"] }],
    ["extra without a user", { user: { "as-user-extra": { a: ["b"] } } }, "ImpersonationWithoutUser", {
      keys: ["as-user-extra"]
    }],
    [
      "an exec plugin",
      { user: { exec: { command: "aws", args: ["s3cret"], env: [{ name: "A", value: "s3cret" }] } } },
      "ExecUnsupported",
      {
        file,
        key: users,
        command: "aws"
      },
      "exec plugins are not supported yet"
    ],
    [
      "an exec plugin beside an impersonation",
      { user: { as: "jane", exec: { command: "aws" } } },
      "ExecUnsupported",
      {}
    ],
    [
      "an auth provider",
      { user: { "auth-provider": { name: "gcp", config: { "access-token": "s3cret" } } } },
      "AuthProviderRemoved",
      {
        file,
        key: users,
        provider: "gcp"
      }
    ]
  ]

  for (const [name, parts, tag, properties, sentence] of rows) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const reason = yield* reasonOf(resolveParts(parts))
        const actual = fieldsOf(reason)
        assert.deepInclude(actual, { tag, ...properties })
        assert.include(reason.message, file)
        assert.include(reason.message, sentence ?? "; ")
        assert.notInclude(`${reason.message}${JSON.stringify(actual)}`, "s3cret")
      }))
  }

  it.effect("an error in a cluster, user or context that is not used does not matter", () =>
    Effect.gen(function*() {
      const text = JSON.stringify({
        ...JSON.parse(kubeconfig()),
        clusters: [
          { name: "c", cluster: { server: "https://k8s" } },
          { name: "bad", cluster: { server: "?", "certificate-authority-data": "@" } }
        ],
        users: [{ name: "u", user: {} }, { name: "bad", user: { exec: { command: "aws" } } }]
      })
      assert.strictEqual((yield* resolveText(text)).clusterName, "c")
    }))

  it.effect("a long list of names is cut", () =>
    Effect.gen(function*() {
      const names = Array.from({ length: 25 }, (_, index) => ({ name: `context-${index}` }))
      const config = yield* KubeConfig.parse(JSON.stringify({ contexts: names }), file)
      const { message } = yield* reasonOf(KubeConfig.resolve(config, { context: "nope" })).pipe(
        Effect.provide(platform)
      )
      assert.include(message, "\"context-19\" and 5 more")
      assert.notInclude(message, "context-20")
    }))

  it.effect("names with escape sequences are written as code points", () =>
    Effect.gen(function*() {
      const { message } = yield* reasonOf(resolveParts({ context: { cluster: "\u001b[2Jgone\n" } }))
      assert.notMatch(message, /\p{C}/u)
      assert.include(message, "U+001B[2JgoneU+000A")
    }))
})
