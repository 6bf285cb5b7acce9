#!/usr/bin/env node
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Command from "effect/cli/Command"
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { command } from "./Cli.ts"

Command.run(command, { version: "0.0.0" }).pipe(
  Effect.provide(Layer.merge(NodeServices.layer, Digest.layerWebCrypto)),
  NodeRuntime.runMain
)
