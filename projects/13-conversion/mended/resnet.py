"""torchvision's residual networks, which start and are named as there; none of its trained weights."""

import paddle

from .layers import BatchNorm2d, Conv2d, Linear
from .modules import Module, Sequential
from .plain import AdaptiveAvgPool2d, MaxPool2d, ReLU
from .starts import constant_, kaiming_normal_


def _conv(entering, leaving, size, stride=1):
    return Conv2d(entering, leaving, kernel_size=size, stride=stride, padding=size // 2, bias=False)


class BasicBlock(Module):
    expansion = 1

    def __init__(self, inplanes, planes, stride=1, downsample=None):
        super().__init__()
        self.conv1, self.bn1 = _conv(inplanes, planes, 3, stride), BatchNorm2d(planes)
        self.relu = ReLU(inplace=True)
        self.conv2, self.bn2 = _conv(planes, planes, 3), BatchNorm2d(planes)
        self.downsample = downsample

    def forward(self, x):
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(Module):
    expansion = 4

    def __init__(self, inplanes, planes, stride=1, downsample=None):
        super().__init__()
        self.conv1, self.bn1 = _conv(inplanes, planes, 1), BatchNorm2d(planes)
        self.conv2, self.bn2 = _conv(planes, planes, 3, stride), BatchNorm2d(planes)
        self.conv3, self.bn3 = _conv(planes, planes * 4, 1), BatchNorm2d(planes * 4)
        self.relu = ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(out)))))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNet(Module):
    def __init__(self, block, layers, num_classes=1000, zero_init_residual=False):
        super().__init__()
        self.inplanes = 64
        self.conv1, self.bn1 = Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False), BatchNorm2d(64)
        self.relu, self.maxpool = ReLU(inplace=True), MaxPool2d(kernel_size=3, stride=2, padding=1)
        for number, (planes, count) in enumerate(zip((64, 128, 256, 512), layers, strict=True), 1):
            setattr(self, f"layer{number}", self._layer(block, planes, count, stride=1 if number == 1 else 2))
        self.avgpool, self.fc = AdaptiveAvgPool2d((1, 1)), Linear(512 * block.expansion, num_classes)
        for each in self.modules():
            if isinstance(each, Conv2d):
                kaiming_normal_(each.weight, mode="fan_out", nonlinearity="relu")
        for each in self.modules():
            if zero_init_residual and isinstance(each, (BasicBlock, Bottleneck)):
                constant_((each.bn2 if block is BasicBlock else each.bn3).weight, 0)

    def _layer(self, block, planes, count, stride):
        downsample = None
        if stride != 1 or self.inplanes != planes * block.expansion:
            wide = planes * block.expansion
            downsample = Sequential(_conv(self.inplanes, wide, 1, stride), BatchNorm2d(wide))
        made = [block(self.inplanes, planes, stride, downsample)]
        self.inplanes = planes * block.expansion
        return Sequential(*made, *(block(self.inplanes, planes) for _ in range(1, count)))

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(paddle.flatten(self.avgpool(x), 1))


def _of(name, block, layers):
    def made(*, weights=None, pretrained=False, progress=True, **named):
        if weights is not None or pretrained:
            raise NotImplementedError(
                f"{name} with torchvision's trained weights is not converted: load them from a file"
            )
        return ResNet(block, layers, **named)

    made.__name__ = name
    return made


resnet18, resnet34 = _of("resnet18", BasicBlock, (2, 2, 2, 2)), _of("resnet34", BasicBlock, (3, 4, 6, 3))
resnet50, resnet101 = _of("resnet50", Bottleneck, (3, 4, 6, 3)), _of("resnet101", Bottleneck, (3, 4, 23, 3))
resnet152 = _of("resnet152", Bottleneck, (3, 8, 36, 3))
