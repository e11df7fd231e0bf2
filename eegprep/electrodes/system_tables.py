"""Tables of numbered caps: channel, electrode, how that is known. Data for `systems`; nothing here is computed.

biosemi32 and biosemi64: the maker's layout, as MNE's montages of these names have it, in the order A1, A2, ..., B32.
biosemi128, biosemi160 and biosemi256: these caps do not follow the 10-20 system. Listed is an input only where it and
one position of the 128-channel 10-5 cap are each other's nearest on the maker's ideal sphere (MNE's `biosemi128` ...
against `brainproducts-RNP-BA-128`) and at most 6 degrees (10 mm on a sphere of 95 mm) apart.
egi128 (HydroCel GSN 128): the maker's list of the 10-20 sites. The net does not follow the 10-20 system: the stated
sites differ from the ideal ones by up to 18 degrees on MNE's template, so nothing is added to the list by position.
egi256 (HydroCel GSN 256): by position as well, on MNE's template `GSN-HydroCel-256`: the input and one electrode of the
base vocabulary are each other's nearest, at most 6 degrees apart as seen from the centres of the spheres that fit the
upper half of each head, and so are their mirror images.
BBCI: names of the Berlin group that mean another place in the 10-5 system; those that do not are plain aliases.
"""

from __future__ import annotations

__all__ = ["BBCI", "NUMBERED"]

BBCI: dict[str, str] = {
    **{f"FFC{i}": f"FFC{i}h" for i in range(1, 7)},
    **{f"CCP{i}": f"CCP{i}h" for i in range(1, 7)},
    "FFC7": "FFT7h",
    "FFC8": "FFT8h",
    "CCP7": "TTP7h",
    "CCP8": "TTP8h",
    "PPO1": "PPO1h",
    "PPO2": "PPO2h",
    "PPO5": "PPO5h",
    "PPO6": "PPO6h",
}

NUMBERED: dict[str, str] = {
    "biosemi32": """\
A1 Fp1 maker's layout
A2 AF3 maker's layout
A3 F7 maker's layout
A4 F3 maker's layout
A5 FC1 maker's layout
A6 FC5 maker's layout
A7 T7 maker's layout
A8 C3 maker's layout
A9 CP1 maker's layout
A10 CP5 maker's layout
A11 P7 maker's layout
A12 P3 maker's layout
A13 Pz maker's layout
A14 PO3 maker's layout
A15 O1 maker's layout
A16 Oz maker's layout
A17 O2 maker's layout
A18 PO4 maker's layout
A19 P4 maker's layout
A20 P8 maker's layout
A21 CP6 maker's layout
A22 CP2 maker's layout
A23 C4 maker's layout
A24 T8 maker's layout
A25 FC6 maker's layout
A26 FC2 maker's layout
A27 F4 maker's layout
A28 F8 maker's layout
A29 AF4 maker's layout
A30 Fp2 maker's layout
A31 Fz maker's layout
A32 Cz maker's layout
""",
    "biosemi64": """\
A1 Fp1 maker's layout
A2 AF7 maker's layout
A3 AF3 maker's layout
A4 F1 maker's layout
A5 F3 maker's layout
A6 F5 maker's layout
A7 F7 maker's layout
A8 FT7 maker's layout
A9 FC5 maker's layout
A10 FC3 maker's layout
A11 FC1 maker's layout
A12 C1 maker's layout
A13 C3 maker's layout
A14 C5 maker's layout
A15 T7 maker's layout
A16 TP7 maker's layout
A17 CP5 maker's layout
A18 CP3 maker's layout
A19 CP1 maker's layout
A20 P1 maker's layout
A21 P3 maker's layout
A22 P5 maker's layout
A23 P7 maker's layout
A24 P9 maker's layout
A25 PO7 maker's layout
A26 PO3 maker's layout
A27 O1 maker's layout
A28 Iz maker's layout
A29 Oz maker's layout
A30 POz maker's layout
A31 Pz maker's layout
A32 CPz maker's layout
B1 Fpz maker's layout
B2 Fp2 maker's layout
B3 AF8 maker's layout
B4 AF4 maker's layout
B5 AFz maker's layout
B6 Fz maker's layout
B7 F2 maker's layout
B8 F4 maker's layout
B9 F6 maker's layout
B10 F8 maker's layout
B11 FT8 maker's layout
B12 FC6 maker's layout
B13 FC4 maker's layout
B14 FC2 maker's layout
B15 FCz maker's layout
B16 Cz maker's layout
B17 C2 maker's layout
B18 C4 maker's layout
B19 C6 maker's layout
B20 T8 maker's layout
B21 TP8 maker's layout
B22 CP6 maker's layout
B23 CP4 maker's layout
B24 CP2 maker's layout
B25 P2 maker's layout
B26 P4 maker's layout
B27 P6 maker's layout
B28 P8 maker's layout
B29 P10 maker's layout
B30 PO8 maker's layout
B31 PO4 maker's layout
B32 O2 maker's layout
""",
    "biosemi128": """\
A1 Cz 0.0 degrees off
A3 CPz 1.0 degrees off
A5 P1 3.1 degrees off
A6 CPP3h 2.2 degrees off
A7 P3 5.9 degrees off
A8 PPO5h 3.1 degrees off
A10 PO7 2.0 degrees off
A12 PO9 2.0 degrees off
A13 I1 3.0 degrees off
A15 O1 2.0 degrees off
A18 PPO3h 5.0 degrees off
A19 Pz 1.0 degrees off
A21 POz 2.0 degrees off
A23 Oz 2.0 degrees off
A25 Iz 3.0 degrees off
A26 I2 3.0 degrees off
A28 O2 2.0 degrees off
A31 PPO4h 5.0 degrees off
A32 P2 3.1 degrees off
B3 CPP4h 2.2 degrees off
B4 P4 5.9 degrees off
B5 PPO6h 3.1 degrees off
B7 PO8 2.0 degrees off
B9 PO10 2.0 degrees off
B11 P8 2.0 degrees off
B14 TP8 2.0 degrees off
B16 CP6 2.8 degrees off
B18 CP4 6.0 degrees off
B20 C2 0.0 degrees off
B22 C4 1.0 degrees off
B24 C6 1.0 degrees off
B26 T8 2.0 degrees off
B27 FT8 2.0 degrees off
B29 FC6 2.8 degrees off
B31 FC4 6.0 degrees off
C1 FCC2h 5.4 degrees off
C3 FFC4h 2.2 degrees off
C4 F4 5.9 degrees off
C7 F8 2.0 degrees off
C8 AF8 2.0 degrees off
C10 AFF6h 3.1 degrees off
C12 F2 3.1 degrees off
C13 AFF4h 5.0 degrees off
C16 Fp2 2.0 degrees off
C17 Fpz 2.0 degrees off
C19 AFz 2.0 degrees off
C21 Fz 1.0 degrees off
C23 FCz 0.0 degrees off
C25 F1 3.1 degrees off
C26 AFF3h 5.0 degrees off
C29 Fp1 2.0 degrees off
C30 AF7 2.0 degrees off
C32 AFF5h 3.1 degrees off
D1 FCC1h 5.4 degrees off
D3 FFC3h 2.2 degrees off
D4 F3 5.9 degrees off
D7 F7 2.0 degrees off
D8 FT7 2.0 degrees off
D10 FC5 2.8 degrees off
D12 FC3 6.0 degrees off
D14 C1 0.0 degrees off
D19 C3 1.0 degrees off
D21 C5 1.0 degrees off
D23 T7 2.0 degrees off
D24 TP7 2.0 degrees off
D26 CP5 2.8 degrees off
D28 CP3 6.0 degrees off
D31 P7 2.0 degrees off
""",
    "biosemi160": """\
A1 Cz 0.0 degrees off
A3 CPz 1.0 degrees off
A5 P1 4.2 degrees off
A6 CPP3h 4.3 degrees off
A7 P3 3.9 degrees off
A8 PPO5h 5.6 degrees off
A11 POO9h 3.6 degrees off
A12 PO9 5.8 degrees off
A13 I1 4.1 degrees off
A15 O1 3.6 degrees off
A19 Pz 1.0 degrees off
A21 POz 2.0 degrees off
A23 Oz 2.0 degrees off
A25 Iz 3.0 degrees off
A26 I2 4.1 degrees off
A28 O2 3.6 degrees off
A32 P2 4.2 degrees off
B3 CPP4h 4.3 degrees off
B4 P4 3.9 degrees off
B5 PPO6h 5.6 degrees off
B8 POO10h 3.6 degrees off
B9 PO10 5.8 degrees off
B11 PPO10h 2.0 degrees off
B16 TPP8h 1.4 degrees off
B18 TPP10h 3.6 degrees off
B19 TP8 3.6 degrees off
B20 TTP8h 5.0 degrees off
B21 CP6 5.6 degrees off
B22 CPP6h 5.1 degrees off
B23 CP4 6.0 degrees off
B24 CP2 3.0 degrees off
B26 CCP4h 2.0 degrees off
B28 CCP6h 5.0 degrees off
B30 C6 1.0 degrees off
B32 T8 2.0 degrees off
C1 FCC2h 5.4 degrees off
C3 C2 0.0 degrees off
C5 FCC4h 2.0 degrees off
C7 C4 1.0 degrees off
C8 FCC6h 5.0 degrees off
C9 FC6 5.6 degrees off
C10 FTT8h 5.0 degrees off
C11 FT8 3.6 degrees off
C13 FFT8h 1.4 degrees off
C20 AFF6h 5.6 degrees off
C21 F4 3.9 degrees off
C22 FFC6h 5.1 degrees off
C23 FC4 6.0 degrees off
C24 FC2 3.0 degrees off
C26 FFC2h 3.5 degrees off
C27 FFC4h 4.3 degrees off
C28 F2 4.2 degrees off
C32 Fp2 3.6 degrees off
D1 FCC1h 5.4 degrees off
D2 FCz 0.0 degrees off
D4 Fz 1.0 degrees off
D6 AFz 2.0 degrees off
D8 Fpz 2.0 degrees off
D9 Fp1 3.6 degrees off
D13 F1 4.2 degrees off
D14 FFC1h 3.5 degrees off
D17 FC1 3.0 degrees off
D18 FFC3h 4.3 degrees off
D19 F3 3.9 degrees off
D20 AFF5h 5.6 degrees off
D26 FFC5h 5.1 degrees off
D27 FC3 6.0 degrees off
D28 FCC3h 2.0 degrees off
D31 FFT7h 1.4 degrees off
E2 C1 0.0 degrees off
E4 C3 1.0 degrees off
E5 FCC5h 5.0 degrees off
E6 FC5 5.6 degrees off
E7 FTT7h 5.0 degrees off
E8 FT7 3.6 degrees off
E9 T7 2.0 degrees off
E11 C5 1.0 degrees off
E13 CCP5h 5.0 degrees off
E14 CP5 5.6 degrees off
E15 TTP7h 5.0 degrees off
E16 TP7 3.6 degrees off
E17 TPP9h 3.6 degrees off
E19 TPP7h 1.4 degrees off
E22 CCP3h 2.0 degrees off
E25 CP1 3.0 degrees off
E26 CP3 6.0 degrees off
E27 CPP5h 5.1 degrees off
E31 PPO9h 2.0 degrees off
""",
    "biosemi256": """\
A1 Cz 0.0 degrees off
A3 CPz 4.0 degrees off
A6 Pz 1.0 degrees off
A7 P1 6.0 degrees off
A11 POO1 5.0 degrees off
A13 OI1h 2.9 degrees off
A14 I1 5.9 degrees off
A17 Iz 2.0 degrees off
A19 Oz 2.0 degrees off
A22 POz 3.0 degrees off
A24 P2 6.0 degrees off
A28 POO2 5.0 degrees off
A30 OI2h 2.9 degrees off
A31 I2 5.9 degrees off
B1 CCP2h 3.3 degrees off
B6 PPO4h 2.2 degrees off
B7 PO4 2.2 degrees off
B9 O2 5.4 degrees off
B10 POO10h 3.9 degrees off
B13 PO10 3.0 degrees off
B15 PO8 2.8 degrees off
B17 PPO6h 1.4 degrees off
B18 P4 4.8 degrees off
B20 CPP4h 2.2 degrees off
B21 CP2 4.4 degrees off
B23 CP4 3.1 degrees off
B26 P6 1.4 degrees off
B29 PPO10h 0.0 degrees off
C4 CCP4h 1.2 degrees off
C6 CCP6h 3.2 degrees off
C8 CPP6h 4.9 degrees off
C10 TPP8h 4.1 degrees off
C11 P8 3.6 degrees off
C12 TPP10h 4.9 degrees off
C13 TP8 4.5 degrees off
C15 CP6 4.9 degrees off
C16 TTP8h 3.2 degrees off
C18 T8 2.0 degrees off
C23 C4 1.0 degrees off
C25 C2 4.7 degrees off
C26 FCC4h 1.2 degrees off
C28 FCC6h 3.2 degrees off
C31 FTT8h 3.2 degrees off
D5 FC4 3.1 degrees off
D7 FC6 4.9 degrees off
D9 FT8 4.5 degrees off
D12 F8 3.6 degrees off
D13 FFT8h 4.1 degrees off
D15 FFC6h 4.9 degrees off
D17 FFC4h 2.2 degrees off
D20 F6 1.4 degrees off
D24 AF8 2.8 degrees off
D26 AFF6h 1.4 degrees off
D27 F4 4.8 degrees off
D29 AFF4h 2.2 degrees off
D30 AF4 2.2 degrees off
D32 Fp2 5.4 degrees off
E1 FCz 5.0 degrees off
E2 FCC2h 3.3 degrees off
E3 FC2 5.6 degrees off
E6 F2 6.0 degrees off
E10 AFp2 5.0 degrees off
E12 Fpz 2.0 degrees off
E15 AFz 3.0 degrees off
E17 Fz 1.0 degrees off
E19 FFC2h 1.2 degrees off
E22 FFC1h 1.2 degrees off
E23 F1 6.0 degrees off
E27 AFp1 5.0 degrees off
E29 Fp1 5.4 degrees off
E31 AF3 2.2 degrees off
E32 AFF3h 2.2 degrees off
F2 FCC1h 3.3 degrees off
F3 FC1 5.6 degrees off
F7 F3 4.8 degrees off
F8 AFF5h 1.4 degrees off
F10 AF7 2.8 degrees off
F14 F5 1.4 degrees off
F17 FFC3h 2.2 degrees off
F21 C1 4.7 degrees off
F22 FCC3h 1.2 degrees off
F23 FC3 3.1 degrees off
F25 FFC5h 4.9 degrees off
F27 FFT7h 4.1 degrees off
F28 F7 3.6 degrees off
F31 FT7 4.5 degrees off
G6 FCC5h 3.2 degrees off
G8 FC5 4.9 degrees off
G9 FTT7h 3.2 degrees off
G11 T7 2.0 degrees off
G16 C3 1.0 degrees off
G17 CCP5h 3.2 degrees off
G20 TTP7h 3.2 degrees off
G22 TPP9h 4.9 degrees off
G23 TP7 4.5 degrees off
G25 CP5 4.9 degrees off
G27 CPP5h 4.9 degrees off
G29 TPP7h 4.1 degrees off
G30 P7 3.6 degrees off
H1 CCP1h 3.3 degrees off
H2 CP1 4.4 degrees off
H4 CCP3h 1.2 degrees off
H6 CP3 3.1 degrees off
H9 P5 1.4 degrees off
H12 PPO9h 0.0 degrees off
H14 PO9 3.0 degrees off
H16 PO7 2.8 degrees off
H18 PPO5h 1.4 degrees off
H19 P3 4.8 degrees off
H21 CPP3h 2.2 degrees off
H26 PPO3h 2.2 degrees off
H27 PO3 2.2 degrees off
H29 O1 5.4 degrees off
H30 POO9h 3.9 degrees off
""",
    "egi128": """\
E9 Fp2 maker's 10-20 list
E11 Fz maker's 10-20 list
E22 Fp1 maker's 10-20 list
E24 F3 maker's 10-20 list
E33 F7 maker's 10-20 list
E36 C3 maker's 10-20 list
E45 T7 maker's 10-20 list
E52 P3 maker's 10-20 list
E58 P7 maker's 10-20 list
E62 Pz maker's 10-20 list
E70 O1 maker's 10-20 list
E75 Oz maker's 10-20 list
E83 O2 maker's 10-20 list
E92 P4 maker's 10-20 list
E96 P8 maker's 10-20 list
E104 C4 maker's 10-20 list
E108 T8 maker's 10-20 list
E122 F8 maker's 10-20 list
E124 F4 maker's 10-20 list
E129 Cz maker's 10-20 list
""",
    "egi256": """\
E2 F8 3.8 degrees off
E4 AFF6h 3.4 degrees off
E5 AFF4h 4.6 degrees off
E6 F2 4.2 degrees off
E7 FFC2h 2.6 degrees off
E8 FCz 1.3 degrees off
E9 FCC1h 4.3 degrees off
E11 AF8 2.8 degrees off
E12 AF4 4.6 degrees off
E14 AFF2h 0.7 degrees off
E15 Fz 0.3 degrees off
E16 FFC1h 2.3 degrees off
E19 Fp2 2.3 degrees off
E20 AFp2 1.3 degrees off
E21 AFz 0.4 degrees off
E22 AFF1h 1.0 degrees off
E23 F1 3.6 degrees off
E26 Fpz 0.3 degrees off
E27 AFp1 1.9 degrees off
E29 AFF3h 4.6 degrees off
E30 FFC3h 3.7 degrees off
E33 Fp1 2.2 degrees off
E34 AF3 4.5 degrees off
E35 AFF5h 3.2 degrees off
E36 F3 1.2 degrees off
E38 AF7 2.9 degrees off
E41 FFC5h 5.4 degrees off
E42 FC3 5.5 degrees off
E43 FCC3h 6.0 degrees off
E47 F7 3.8 degrees off
E48 FFT7h 4.6 degrees off
E58 FCC5h 2.7 degrees off
E59 C3 1.5 degrees off
E60 CCP3h 1.9 degrees off
E63 FTT7h 4.1 degrees off
E64 C5 1.8 degrees off
E69 T7 2.5 degrees off
E70 TTP7h 3.0 degrees off
E72 CCP5h 5.3 degrees off
E74 TP7 3.6 degrees off
E76 CP5 4.4 degrees off
E78 CP3 5.5 degrees off
E79 CP1 4.5 degrees off
E83 TPP9h 2.7 degrees off
E86 CPP5h 4.8 degrees off
E88 CPP3h 4.0 degrees off
E89 CPP1h 5.1 degrees off
E90 CPz 0.4 degrees off
E94 P9 4.6 degrees off
E98 P3 5.6 degrees off
E100 P1 5.8 degrees off
E101 Pz 2.5 degrees off
E105 PPO9h 5.0 degrees off
E108 PO3 4.5 degrees off
E109 PPO3h 4.3 degrees off
E110 PPO1h 3.0 degrees off
E113 PO9 2.1 degrees off
E117 POO1 3.4 degrees off
E128 PPO2h 3.2 degrees off
E129 P2 5.8 degrees off
E130 CPP2h 4.4 degrees off
E136 OI1h 4.7 degrees off
E139 POO2 5.2 degrees off
E140 PPO4h 4.4 degrees off
E142 CPP4h 4.5 degrees off
E143 CP2 4.0 degrees off
E147 Iz 2.9 degrees off
E148 OI2h 3.7 degrees off
E151 PO4 5.5 degrees off
E152 P4 5.8 degrees off
E154 CP4 5.9 degrees off
E155 CCP4h 1.9 degrees off
E162 CPP6h 4.8 degrees off
E172 CP6 4.6 degrees off
E173 CCP6h 5.5 degrees off
E176 PO10 0.8 degrees off
E177 PPO10h 5.2 degrees off
E183 C4 1.2 degrees off
E186 FCC2h 3.8 degrees off
E190 P10 5.2 degrees off
E191 TPP10h 3.3 degrees off
E192 TP8 3.9 degrees off
E193 TTP8h 3.1 degrees off
E194 C6 1.4 degrees off
E195 FCC6h 2.9 degrees off
E197 FCC4h 5.6 degrees off
E202 T8 2.7 degrees off
E203 FTT8h 4.5 degrees off
E206 FC4 5.5 degrees off
E214 FFC6h 6.0 degrees off
E215 FFC4h 3.0 degrees off
E222 FFT8h 4.7 degrees off
E224 F4 1.3 degrees off
E225 FT10 1.8 degrees off
E253 FT9 2.2 degrees off
E257 Cz the vertex, the net's reference
""",
}
