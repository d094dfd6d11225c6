import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../core/clock.ts';
import { LoginThrottle } from './login-throttle.ts';
import { networkOf } from './network.ts';

describe('the network of an address', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:db8:0:1:aaaa:bbbb:cccc:dddd', '2001:db8:0:1::/64'],
    ['2001:0db8::1', '2001:db8:0:0::/64'],
    ['2001:db8:1:2::', '2001:db8:1:2::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['64:ff9b::192.0.2.7', '64:ff9b:0:0::/64'],
    ['somewhere', 'somewhere'],
  ])('%s: %s', (address, network) => expect(networkOf(address)).toBe(network));

  it('is what log-in tries count by: a client with a whole /64 is one client', () => {
    const quota = (requests: number) => ({ requests, windowS: 60 });
    const throttle = new LoginThrottle(new VirtualClock(), { pair: quota(99), account: quota(99), address: quota(3) });
    const from = (last: number) => throttle.begin(`person-${last}@example.com`, `2001:db8::${last}`);
    for (const last of [1, 2, 3]) from(last);
    expect(() => from(4)).toThrow(expect.objectContaining({ code: 'rate-limited' }));
    throttle.begin('another@example.com', '2001:db8:0:1::1');
  });
});
