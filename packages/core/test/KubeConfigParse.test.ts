import * as KubeConfig from "@effect-k8s/core/KubeConfig"
import type { KubeConfigErrorReason } from "@effect-k8s/core/KubeConfigError"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { fieldsOf, file, reasonOf } from "./kubeConfigFixtures.ts"

const parse = (text: string) => KubeConfig.parse(text, file)

const complete = `apiVersion: v1
kind: Config
current-context: prod
preferences: {}
clusters:
- name: c
  cluster:
    server: https://k8s.example:6443
    certificate-authority-data: Q0E=
    disable-compression: true
    unknown: [1, 2]
    extensions:
    - name: e
      extension: {a: 1}
users:
- name: u
  user:
    token: a-token
contexts:
- name: prod
  context:
    cluster: c
    user: u
    namespace: shop
`

const check = (config: KubeConfig.KubeConfig): void => {
  assert.strictEqual(config.currentContext, "prod")
  assert.deepInclude(config.contexts[0], { name: "prod", cluster: "c", user: "u", namespace: "shop", file })
  assert.deepInclude(config.clusters[0], { server: "https://k8s.example:6443", certificateAuthorityData: "Q0E=" })
  assert.strictEqual(config.users[0]?.token && Redacted.value(config.users[0].token), "a-token")
}

describe("texts that are kubeconfigs", () => {
  for (
    const [name, text] of [
      ["YAML; unknown keys and disable-compression are passed over", complete],
      ["CRLF", complete.replaceAll("\n", "\r\n")],
      ["a byte order mark", `\uFEFF${complete}`],
      ["a document start and comments", `# mine\n---\n${complete}`],
      ["a byte order mark before a document start", `\uFEFF---\n${complete}`],
      ["several documents, of which the first counts as for kubectl", `${complete}---\ncurrent-context: other\n`],
      ["a first document with end marker, whatever follows", `---\n${complete}...\nnot: [yaml\n`]
    ] as const
  ) {
    it.effect(name, () => Effect.map(parse(text), check))
  }

  it.effect("JSON, also indented with tabs", () =>
    Effect.gen(function*() {
      const json = {
        "current-context": "prod",
        clusters: [{
          name: "c",
          cluster: { server: "https://k8s.example:6443", "certificate-authority-data": "Q0E=" }
        }],
        users: [{ name: "u", user: { token: "a-token" } }],
        contexts: [{ name: "prod", context: { cluster: "c", user: "u", namespace: "shop" } }]
      }
      check(yield* parse(JSON.stringify(json)))
      check(yield* parse(JSON.stringify(json, null, "\t")))
    }))

  for (
    const [name, text] of [
      ["nothing", ""],
      ["blank lines", "\n \n"],
      ["comments", "# nothing here\n"],
      ["an empty first document", "---\n---\ncurrent-context: prod\n"],
      ["null instead of lists", "clusters: null\nusers: ~\ncontexts:\ncurrent-context: null\n"],
      ["empty lists", "clusters: []\nusers: []\ncontexts: []\ncurrent-context: ''\n"],
      ["only a kind", "kind: Config\n"]
    ] as const
  ) {
    it.effect(`${name} is a kubeconfig without entries`, () =>
      Effect.map(parse(text), (config) => {
        assert.deepStrictEqual(config, {
          files: [file],
          currentContext: undefined,
          contexts: [],
          clusters: [],
          users: []
        })
      }))
  }

  it.effect("null entries, null bodies and empty values are absent", () =>
    Effect.gen(function*() {
      const config = yield* parse(`
clusters: [null, {name: a, cluster: null}, {name: b, cluster: {server: "", proxy-url: ""}}]
users: [{name: u, user: {token: "", password: null, as-groups: null, as-user-extra: {k: null}, exec: null, auth-provider: ~}}]
contexts: [{name: x, context: {cluster: "", namespace: ""}}]
`)
      assert.deepStrictEqual(config.clusters.map((cluster) => [cluster.name, cluster.server, cluster.proxyUrl]), [
        ["", undefined, undefined],
        ["a", undefined, undefined],
        ["b", undefined, undefined]
      ])
      const [user] = config.users
      assert.isUndefined(user?.token)
      assert.isUndefined(user?.password)
      assert.deepStrictEqual(user?.asGroups, [])
      assert.deepStrictEqual(user?.asUserExtra, { k: [] })
      assert.isUndefined(user?.exec)
      assert.isUndefined(user?.authProvider)
      assert.isUndefined(config.contexts[0]?.cluster)
      assert.isUndefined(config.contexts[0]?.namespace)
    }))

  for (
    const [word, expected] of [["true", true], ["yes", true], ["On", true], ["false", false], ["no", false], [
      "off",
      false
    ]] as const
  ) {
    it.effect(`insecure-skip-tls-verify: ${word} is ${expected}, as in YAML 1.1`, () =>
      Effect.map(parse(`clusters: [{name: c, cluster: {insecure-skip-tls-verify: ${word}}}]`), (config) => {
        assert.strictEqual(config.clusters[0]?.insecureSkipTlsVerify, expected)
      }))
  }
})

const reject = (text: string, tag: KubeConfigErrorReason["_tag"], properties: Record<string, unknown>) =>
  Effect.map(reasonOf(parse(text)), (reason) => {
    const actual = fieldsOf(reason)
    assert.deepInclude(actual, { tag, file, ...properties })
    assert.include(reason.message, file)
  })

describe("texts that are not YAML name the line", () => {
  const ok = "users:\n- name: a\n  user: {}\n- name: b\n  user: {}\n"
  for (
    const [name, text, line, problem] of [
      ["tabs", "clusters:\n\t- name: c\n", 2, "tabs cannot be used for YAML indentation"],
      [
        "a duplicate key, which kubectl lets pass",
        "current-context: a\nclusters: []\ncurrent-context: b\n",
        3,
        "duplicate key"
      ],
      ["a colon in a plain value", "current-context: a: b\n", 1, "invalid colon in plain scalar"],
      ["an unknown alias", `${ok}clusters: []\ncurrent-context: *s3cret\nkind: Config\n`, 7, "unknown YAML alias"],
      ["an unknown escape", `${ok}current-context: "\\q"\nkind: Config\n`, 6, "invalid YAML escape"],
      [
        "text after a quoted value",
        `${ok}current-context: "a" b\nkind: Config\n`,
        6,
        "unexpected content after quoted YAML scalar"
      ],
      ["an unterminated quote", `${ok}current-context: 'a\n`, 6, "unterminated quoted YAML scalar"],
      ["an unclosed list", `${ok}contexts: [a, b\nkind: Config\n`, 6, "expected ','"],
      ["CRLF", "current-context: a\r\nclusters: []\r\nkind: *s3cret\r\n", 3, "unknown YAML alias"]
    ] as const
  ) {
    it.effect(name, () =>
      Effect.gen(function*() {
        yield* reject(text, "NotYaml", { line, problem })
        assert.notInclude((yield* reasonOf(parse(text))).message, "s3cret")
      }))
  }
})

describe("tags are not taken for text", () => {
  const user = (value: string) => `users:\n- name: u\n  user:\n    username: jane\n    ${value}\n`
  for (
    const [name, text, line] of [
      ["before a value", user("token: !!str s3cret"), 5],
      ["before a quoted value", user("token: !!str \"s3cret\""), 5],
      ["before bytes", user("token: !!binary czNjcmV0"), 5],
      ["of one's own", user("token: !secret s3cret"), 5],
      ["before a text of several lines", user("token: !!str |\n      s3cret"), 5],
      ["behind an anchor", user("token: &a !!str s3cret"), 5],
      ["alone", user("token: !"), 5],
      ["in a list", user("as-groups:\n    - !!str s3cret"), 6],
      ["in a list of one line", user("as-groups: [dev, !!str s3cret]"), 5],
      ["in a mapping of one line", "users:\n- {name: u, user: {token: !!str s3cret}}\n", 2],
      ["before a mapping", user("exec: !!map {command: s3cret}"), 5],
      ["before a mapping on more lines", user("exec: !!map\n      command: s3cret"), 5],
      ["before a key", user("!!str token: s3cret"), 5],
      ["before a key of one line", "users:\n- {name: u, user: {!!str token: s3cret}}\n", 2],
      ["with CRLF", user("token: !!str s3cret").replaceAll("\n", "\r\n"), 5]
    ] as const
  ) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const problem = "tags are not supported; leave the tag out, or put a text that begins with ! in quotes"
        yield* reject(text, "NotYaml", { line, problem })
        assert.notInclude((yield* reasonOf(parse(text))).message, "s3cret")
      }))
  }

  for (
    const [name, value, expected] of [
      ["in quotes", "\"!!str a\"", "!!str a"],
      ["in single quotes", "'!a'", "!a"],
      ["within a text", "a!b !c", "a!b !c"],
      ["on a line of its own of a text", "a\n      !b", "a !b"],
      ["in a literal", "|-\n      !a", "!a"],
      ["in a comment", "a # !b", "a"],
      ["behind a colon", "a:!b", "a:!b"]
    ] as const
  ) {
    it.effect(`and an exclamation mark ${name} is one`, () =>
      Effect.gen(function*() {
        const [parsed] = (yield* parse(user(`token: ${value}`))).users
        assert.strictEqual(parsed?.token && Redacted.value(parsed.token), expected)
      }))
  }

  it.effect("and a quoted key may begin with an exclamation mark", () =>
    Effect.gen(function*() {
      const [parsed] = (yield* parse(user("as: bot\n    as-user-extra: {\"!a\": [b], '!c': [d]}"))).users
      assert.deepStrictEqual(parsed?.asUserExtra, { "!a": ["b"], "!c": ["d"] })
    }))

  it.effect("and what many aliases stand for is not looked at anew for each", () =>
    Effect.gen(function*() {
      const levels = Array.from(
        { length: 40 },
        (_, n) => `l${n + 1}: &l${n + 1} [${Array(9).fill(`*l${n}`).join(", ")}]`
      )
      yield* parse(["l0: &l0 {a: \"!\"}", ...levels].join("\n"))
    }))
})

describe("texts that are not kubeconfigs name the key", () => {
  for (
    const [name, text, key, expected] of [
      ["a word", "hello", "", "a mapping"],
      ["a list", "- a\n- b\n", "", "a mapping"],
      ["another kind", "apiVersion: v1\nkind: Pod\n", "kind", "Config"],
      ["another version", "apiVersion: v2\nkind: Config\n", "apiVersion", "v1"],
      ["a mapping for a list", "clusters: {c: {server: x}}\n", "clusters", "a list"],
      ["a word for an entry", "users: [a]\n", "users[0]", "a mapping"],
      [
        "a number for a name",
        "current-context: 123\n",
        "current-context",
        "a string (put numbers, dates, true and false in quotes)"
      ],
      [
        "a number for a token",
        "users: [{name: a}, {name: b, user: {token: 123456}}]\n",
        "users[1].user.token",
        "a string (put numbers, dates, true and false in quotes)"
      ],
      [
        "a list for a password",
        "users: [{name: b, user: {password: [s3cret]}}]\n",
        "users[0].user.password",
        "a string (put numbers, dates, true and false in quotes)"
      ],
      [
        "a string for a flag",
        "clusters: [{cluster: {insecure-skip-tls-verify: \"true\"}}]\n",
        "clusters[0].cluster.insecure-skip-tls-verify",
        "true or false"
      ],
      ["a string for groups", "users: [{user: {as-groups: a}}]\n", "users[0].user.as-groups", "a list"],
      [
        "a string for the values of extra",
        "users: [{user: {as-user-extra: {k: v}}}]\n",
        "users[0].user.as-user-extra.k",
        "a list"
      ]
    ] as const
  ) {
    it.effect(name, () => reject(text, "NotKubeConfig", { key, expected }))
  }
})

describe("duplicate names within one file are refused, as by client-go (api/v1/conversion.go)", () => {
  for (const list of ["clusters", "users", "contexts"] as const) {
    it.effect(list, () => reject(`${list}: [{name: a}, {name: b}, {name: a}]\n`, "DuplicateName", { list, name: "a" }))
  }
  it.effect("the same name in different lists is fine", () =>
    Effect.map(parse("clusters: [{name: a}]\nusers: [{name: a}]\ncontexts: [{name: a}]\n"), (config) => {
      assert.strictEqual(config.contexts[0]?.name, "a")
    }))
})

describe("escape sequences of a terminal", () => {
  it.effect("are written as code points in messages", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        KubeConfig.parse("users: [{name: \"\\e[1ma\"}, {name: \"\\e[1ma\"}]", "/tmp/\u001b[31mred\u009b\u202E")
      )
      assert.notMatch(error.message, /\p{C}/u)
      assert.include(error.message, "U+001B[1ma")
      assert.include(error.message, "/tmp/U+001B[31mredU+009BU+202E")
    }))
})
