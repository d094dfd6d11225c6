import { describe, expect, it } from 'vitest';
import { CallFailed, CallRefused, parseTwiml, twilioSignature } from './voice-webhook.ts';

describe('twilioSignature', () => {
  it('matches the vector of Twilio’s documentation', () => {
    const parameters = {
      To: '+18005551212',
      CallSid: 'CA1234567890ABCDE',
      Caller: '+14158675310',
      From: '+14158675310',
      Digits: '1234',
    };
    expect(twilioSignature('12345', 'https://example.com/myapp.php?foo=1&bar=2', parameters)).toBe(
      'L/OH5YylLD5NRKLltdqwSvS0BnU=',
    );
  });
});

describe('parseTwiml', () => {
  it('reads the stream with its parameters', () => {
    const twiml = `<?xml version="1.0"?><Response><Say>Hi</Say><Connect action='/x'>
      <Stream name="s" url="wss://h/media"><Parameter name="token" value="a&amp;b &#x41;&#66;"/><Parameter value='2' name='n'></Parameter></Stream>
    </Connect></Response>`;
    expect(parseTwiml(twiml)).toEqual({ url: 'wss://h/media', customParameters: { token: 'a&b AB', n: '2' } });
    expect(parseTwiml('<Response><Connect><Stream url="ws://h/m"/></Connect></Response>').customParameters).toEqual({});
  });

  it('tells a refusal by what would be spoken', () => {
    const refused = (): unknown =>
      parseTwiml('<Response><Say voice="alice">All lines are busy &amp; so on.</Say><Hangup/></Response>');
    expect(refused).toThrow(CallRefused);
    expect(refused).toThrow('All lines are busy & so on.');
    expect(() => parseTwiml('<Response><Hangup/></Response>')).toThrow(CallRefused);
    expect(() => parseTwiml('<Response/>')).toThrow(CallRefused);
  });

  it('rejects what is not TwiML', () => {
    expect(() => parseTwiml('{"error":"x"}')).toThrow(CallFailed);
    expect(() => parseTwiml('<Response><Connect><Stream/></Connect></Response>')).toThrow('without a url');
  });
});
