// One talk with the running server by @openai/agents-realtime. Prints what the client reports, as one line of JSON.
// node talk.mjs '{"url": ..., "scenario": "voice" | "tool", "clips": {name: path}, "tool": {...}}'
import { setTimeout as sleep } from 'node:timers/promises';

import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession, tool } from '@openai/agents-realtime';
import { z } from 'zod';

import { Microphone, Told } from './listening.mjs';
import { refusal } from './parser.mjs';

const task = JSON.parse(process.argv[2]);
const told = new Told();
const report = { errors: [], refused: [], audio_ms: {}, interrupted: [], truncated: [], tool_runs: [], first_audio_ms: {}, history: [] };
const itemOfResponse = new Map();

function makeSession() {
  const switchLamp = tool({
    name: task.tool.name,
    description: 'Switches the lamp of a room.',
    parameters: z.object({ room: z.string(), on: z.boolean() }),
    execute: async (given) => {
      report.tool_runs.push(given);
      return task.tool.output;
    },
  });
  const agent = new RealtimeAgent({ name: 'host', instructions: 'Answer in one short sentence.', tools: [switchLamp] });
  const transport = new OpenAIRealtimeWebSocket({ url: task.url, useInsecureApiKey: true });
  return new RealtimeSession(agent, { transport, tracingDisabled: true });
}

function listen(session) {
  let current;
  session.on('error', (error) => report.errors.push(JSON.stringify(error)));
  session.on('transport_event', (event) => {
    if (event.type === 'response.output_item.added') itemOfResponse.set(event.response_id, event.item.id);
    if (event.type === 'conversation.item.truncated') report.truncated.push({ item: event.item_id, audio_end_ms: event.audio_end_ms });
    const why = refusal(event);
    if (why) report.refused.push(`${event.type}: ${why}`);
    told.add(event.type, event);
  });
  session.on('audio', ({ data, responseId }) => {
    current = itemOfResponse.get(responseId);
    report.audio_ms[current] = (report.audio_ms[current] ?? 0) + data.byteLength / 2 / 24;
    told.add('audio', current);
  });
  session.on('audio_interrupted', () => {
    report.interrupted.push(current);
    told.add('audio_interrupted', current);
  });
  for (const name of ['agent_end', 'agent_tool_end', 'history_updated']) session.on(name, (...details) => told.add(name, details));
}

function written(item) {
  if (item.type !== 'message') return [item.name, item.output];
  return [item.role, item.content.map((part) => part.transcript ?? part.text ?? '').join(' ')];
}

const scenarios = {
  async voice(session, microphone) {
    const ended = await microphone.say(task.clips.name);
    report.first_audio_ms['end of speech to first audio, embedded engines'] = (await told.until('audio')).at - ended;
    await told.until('agent_end');
    session.sendMessage('And what is your name?');
    await told.until('audio');
    await told.until('agent_end');
  },

  async tool(session, microphone) {
    session.sendMessage('Tell me a story.');
    const story = await told.until('audio');
    await sleep(1000); // of listening
    const saying = microphone.say(task.clips.second);
    await told.until('audio_interrupted');
    const ended = await saying;
    const answer = await told.until('audio', (item) => item !== story.detail);
    report.first_audio_ms['end of speech to first audio after a barge-in'] = answer.at - ended;
    await told.until('agent_end');
    await sleep(report.audio_ms[answer.detail]); // of listening
    await microphone.say(task.clips.lamp);
    await told.until('agent_tool_end');
    await told.until('audio');
    await told.until('agent_end');
    report.story = story.detail;
  },
};

const session = makeSession();
listen(session);
const microphone = new Microphone((pcm) => session.sendAudio(pcm));
await session.connect({ apiKey: 'none needed' });
const running = microphone.run();
await scenarios[task.scenario](session, microphone);
microphone.switchOff();
await running;
report.history = session.history.map(written);
session.close();
console.log(JSON.stringify(report));
