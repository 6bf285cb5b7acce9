import * as Attach from "@effect-k8s/channels/Attach"
import type { ChannelError } from "@effect-k8s/channels/ChannelError"
import type { ExecHandle } from "@effect-k8s/channels/ExecHandle"
import * as Target from "@effect-k8s/channels/Target"
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import type { KubeError } from "@effect-k8s/core/KubeError"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { describe, expect, it } from "tstyche"

declare const handle: Attach.AttachHandle

describe("an attach", () => {
  it("is scoped, and fails as a request does until its session exists", () => {
    expect(Attach.attach(Target.pod("p"))).type.toBe<
      Effect.Effect<Attach.AttachHandle, KubeError, KubeClient | Scope.Scope>
    >()
  })

  it("can be used where the handle of a command is", () => {
    expect(handle).type.toBeAssignableTo<ExecHandle>()
  })

  it("says in its type what it cannot do", () => {
    expect(handle.supervised).type.toBe<false>()
    expect(handle.processGroup).type.toBe<undefined>()
    expect(handle.kill()).type.toBe<Effect.Effect<never, ChannelError>>()
  })

  it("takes no option of a command that it would not heed", () => {
    expect(Attach.attach).type.not.toBeCallableWith(Target.pod("p"), { supervise: "never" })
    expect(Attach.attach).type.not.toBeCallableWith(Target.pod("p"), { cwd: "/" })
    expect(Attach.attach).type.toBeCallableWith(Target.pod("p"), { stdin: "pipe", tty: true })
  })
})
